"""A pytorch-forecasting model trained on bars, imported into Tickfuse: the same windows through both, answer by answer.

    python3 bench/peers/forecasting.py BARS.parquet... [--tickfuse PATH] [--steps 400] [--tail 0.15]

Bars have the columns ts (ms), symbol, open, high, low, close, volume, without gaps. Lightning's checkpoint is imported as it is, and once
more by way of `tickfuse.export_pytorch_forecasting`: both must make the same model file. `tickfuse predict` answers every window of the
held-out tail from raw columns, as CSV and as Parquet, and the last one with nothing but known columns in its steps ahead. Answers further
than 2e-5 of their range from the library's are an error (exit code 2). A JSON file and a Markdown table go to bench/out/. Needs fixtures/make/requirements_pytorch_forecasting.txt and pyarrow.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import forecasting_model as library
import numpy as np
import pandas as pd
import report
import torch
from forecasting_model import LOOKBACK, N_AHEAD, TAUS, Split, Windows
from pytorch_forecasting import TemporalFusionTransformer
from tickfuse_program import ProgramError, run

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = 2e-5
PACKAGES = ["pytorch-forecasting", "lightning", "torch", "pandas", "numpy"]


def main() -> int:
    args = _arguments()
    _one_thread(args.cpu)
    about = report.machine(args.cpu) | {"versions": {name: version(name) for name in PACKAGES}}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            result = measure(args, Path(scratch))
    except ProgramError as error:
        print(error, file=sys.stderr)
        return 2
    document = {"machine": about, "made": datetime.now(UTC).isoformat(timespec="seconds"), **result}
    text = _markdown(document)
    stem = ROOT / "bench" / "out" / f"forecasting-{document['made'].replace(':', '').replace('+0000', 'Z')}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{stem}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    Path(f"{stem}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"written: {stem}.json, {stem}.md", file=sys.stderr)
    return 0 if all(found["share_of_range"] <= ALLOWED for found in document["agreement"].values()) else 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", type=Path, nargs="+", help="Parquet files of bars")
    parser.add_argument("--tickfuse", type=Path, default=ROOT / "target/release/tickfuse", help="the program")
    parser.add_argument("--steps", type=int, default=400, help="optimiser steps of the training")
    parser.add_argument("--tail", type=float, default=0.15, help="share of the bars held out; as many before them choose the checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="core for everything")
    return parser.parse_args()


def _one_thread(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def measure(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Training, both ways of the import, and the answers of both sides."""
    run(args.tickfuse, "--version")
    frame = library.frame_of_bars(args.bars)
    split = Split.of(frame, args.tail)
    training = library.dataset(split.training(frame))
    checkpoint, trained = library.train(training, split.choice(frame), args.steps, args.seed, scratch)
    bundle, imported = _import(args.tickfuse, checkpoint, scratch)
    model = TemporalFusionTransformer.load_from_checkpoint(checkpoint)
    held_out = split.held_out(frame)
    theirs = library.every_window(model, held_out)
    last = library.last_windows(model, held_out)
    agreement = {
        "every window, CSV": _compare(_answers(args.tickfuse, bundle, held_out, "csv", every=True), theirs),
        "every window, Parquet": _compare(_answers(args.tickfuse, bundle, held_out, "parquet", every=True), theirs),
        "last window, steps ahead empty": _compare(_answers(args.tickfuse, bundle, _unseen(held_out), "csv", every=False), last),
    }
    return {
        "bars": len(frame),
        "symbols": frame["symbol"].nunique(),
        "training": trained,
        "import": imported,
        "agreement": agreement,
        "held_out": _losses(theirs, split.training(frame), held_out),
    }


def _import(program: Path, checkpoint: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint as a model file, straight from Lightning's file; the way over the exporter must give the same bytes."""
    direct, by_folder, exported = folder / "direct.safetensors", folder / "by_folder.safetensors", folder / "exported"
    told = json.loads(run(program, "--json", "import", "pytorch-forecasting", checkpoint, "--name", "bars", "--out", direct))
    export = ["-m", "tickfuse.export_pytorch_forecasting", "--checkpoint", checkpoint, "--output", exported]
    run(Path(sys.executable), *export, environment={"PYTHONPATH": str(ROOT / "ffi" / "python")})
    run(program, "import", "pytorch-forecasting", exported, "--name", "bars", "--out", by_folder)
    if direct.read_bytes() != by_folder.read_bytes():
        raise ProgramError("expected the checkpoint and its export to make the same model file, found two different ones")
    sizes = {"checkpoint_bytes": checkpoint.stat().st_size, "bytes": told["bytes"]}
    return direct, {"hash": told["hash"], "parameters": told["n_parameters"], **sizes, "same_bytes_by_export": True}


def _answers(program: Path, bundle: Path, frame: pd.DataFrame, kind: str, every: bool) -> Windows:
    """What `tickfuse predict` says of the raw frame, under the library's keys."""
    source, out = bundle.with_name(f"frame.{kind}"), bundle.with_name("answers.npz")
    if kind == "csv":
        frame.to_csv(source, index=False)
    else:
        frame.to_parquet(source, index=False)
    options = ["--every-window"] if every else []
    told = json.loads(run(program, "--json", "predict", bundle, "--input", source, "--out", out, *options))
    arrays = np.load(out)
    symbols = [s["series"]["symbol"] for s in told["series"] for _ in range(s["n"])]
    first = frame.groupby("symbol")["step"].min()
    rows = zip(symbols, arrays["first_step"].tolist(), arrays["output"].reshape(-1, N_AHEAD, len(TAUS)), strict=True)
    return {(symbol, step, min(LOOKBACK, step - int(first[symbol]))): quantiles for symbol, step, quantiles in rows}


def _unseen(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it is when the answer is wanted: of the steps ahead only what is known of them."""
    ahead = frame.groupby("symbol").cumcount(ascending=False) < N_AHEAD
    return frame.assign(**{name: frame[name].mask(ahead) for name in library.OBSERVED})


def _compare(own: Windows, theirs: Windows) -> dict[str, Any]:
    """The largest deviation over the windows of Tickfuse, each of which the library must have answered."""
    missing = own.keys() - theirs.keys()
    if missing:
        raise ProgramError(f"expected windows that the library answers too, found {len(missing)} others, such as {min(missing)}")
    keys = list(own)
    ours, library_s = (np.stack([w[key] for key in keys]).astype(np.float64) for w in (own, theirs))
    apart = float(np.max(np.abs(ours - library_s)))
    spread = float(np.ptp(library_s))
    return {
        "windows": len(keys),
        "of_shorter_past": sum(n < LOOKBACK for _, _, n in keys),
        "largest_difference": apart,
        "range": spread,
        "share_of_range": apart / spread,
    }


def _losses(theirs: Windows, training: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, Any]:
    """Mean quantile loss of whole windows beside that of each symbol's quantiles of the training's returns."""
    returns = {symbol: group.set_index("step")["ret"] for symbol, group in held_out.groupby("symbol")}
    constant = {symbol: np.quantile(group["ret"], TAUS) for symbol, group in training.groupby("symbol")}
    keys = [key for key in theirs if key[2] == LOOKBACK]
    found = np.stack([returns[symbol].loc[step : step + N_AHEAD - 1].to_numpy() for symbol, step, _ in keys])
    model = library.pinball(np.stack([theirs[key] for key in keys]), found)
    baseline = library.pinball(np.stack([np.tile(constant[key[0]], (N_AHEAD, 1)) for key in keys]), found)
    return {"windows": len(keys), "model": model, "constant_quantiles": baseline, "model_to_constant": model / baseline}


def _markdown(document: dict[str, Any]) -> str:
    m, trained, imported, held_out = (document[name] for name in ("machine", "training", "import", "held_out"))
    rows = [[name, *_cells(found)] for name, found in document["agreement"].items()]
    versions = ", ".join(f"{name} {v}" for name, v in m["versions"].items())
    lines = [
        f"{m['cpu']}, one thread, load before {m['load_before']}; {versions}.",
        f"{document['bars']} bars of {document['symbols']} symbols; {library.MIN_LOOKBACK} to {LOOKBACK} steps back, {N_AHEAD} ahead, {len(TAUS)} quantiles.",
        f"Training: {trained['parameters']} parameters, {trained['steps']} steps of {trained['batch']} windows in {trained['seconds']} s.",
        f"Import: {imported['checkpoint_bytes']} bytes of checkpoint to {imported['bytes']} bytes of model file; the same file by way of the export.",
        "",
        *report.table(["windows of the held-out tail", "n", "of a shorter past", "largest difference", "range", "share of it"], rows),
        "",
        f"Quantile loss of {held_out['windows']} whole windows of the tail: model {held_out['model']:.4e}, constant quantiles of the training "
        + f"{held_out['constant_quantiles']:.4e}, ratio {held_out['model_to_constant']:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def _cells(found: dict[str, Any]) -> list[str]:
    n, n_short = str(found["windows"]), str(found["of_shorter_past"])
    return [n, n_short, f"{found['largest_difference']:.1e}", f"{found['range']:.4f}", f"{found['share_of_range']:.1e}"]


if __name__ == "__main__":
    sys.exit(main())
