"""Tickfuse through its own program: `import torch`, `predict`, `latency`, as anyone would call them."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np


class ProgramError(Exception):
    """The program is missing, failed, or answered something unexpected."""


PRECISIONS = ("f32", "bf16", "i16")


class Tickfuse:
    """One net as a bundle of one precision."""

    name = "Tickfuse"

    def __init__(self, program: Path, precision: str, net: Path, folder: Path):
        self.program = program
        self.precision = precision
        self.folder = folder
        self.bundle = folder / f"{net.name}-{precision}.safetensors"
        self.bundle.unlink(missing_ok=True)
        source = ["--weights", net / "weights.safetensors", "--config", net / "net.toml"]
        self._run("import", "torch", *source, "--out", self.bundle, "--precision", precision)

    def inputs(self) -> list[dict]:
        """The columns that a row has."""
        return json.loads(self._run("inspect", self.bundle, "--json"))["schema"]["inputs"]

    def predict(self, rows: Path, answers: Path) -> None:
        """Answers every window of a table of rows."""
        self._run("predict", self.bundle, "--input", rows, "--output", answers)

    def answers(self, windows: np.ndarray) -> np.ndarray:
        """Answers of all windows, `[n, n_outputs]`."""
        inputs, outputs = self.folder / "windows.npy", self.folder / "answers.npz"
        np.save(inputs, windows)
        outputs.unlink(missing_ok=True)
        self._run("predict", self.bundle, "--input", inputs, "--output", outputs)
        arrays = dict(np.load(outputs))
        y = arrays.get("output", next(iter(arrays.values())) if len(arrays) == 1 else None)
        if y is None or y.size % len(windows):
            found = {name: array.shape for name, array in arrays.items()}
            raise ProgramError(f"{outputs}: expected `output` with {len(windows)} rows, found {found}")
        return y.reshape(len(windows), -1).astype(np.float64)

    def latency(self, n: int, warmup: int, cpu: int, mode: str = "window", cold: bool = False) -> dict:
        """The document that `tickfuse latency --json` prints: whole windows or arriving rows, input in memory."""
        options = ["--precision", self.precision, "--n", n, "--warmup", warmup, "--cpu", cpu, "--mode", mode, "--json"]
        options += ["--cold"] if cold else []
        text = self._run("latency", self.bundle, *options)
        try:
            document = json.loads(text)
            if document["mode"] == mode and document["latency_ns"]["p50"] > 0:
                return document
        except (ValueError, KeyError, TypeError):
            pass
        raise ProgramError(f"latency: expected JSON with mode `{mode}` and latency_ns.p50, found {text[:300]!r}")

    def _run(self, *words: object) -> str:
        return run(self.program, *words)


def run(program: Path, *words: object, environment: dict[str, str] | None = None) -> str:
    """What a program prints, or a `ProgramError` with what it complains of; `environment` has further variables."""
    command = [str(program), *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | (environment or {}))
    except OSError as error:
        raise ProgramError(f"{program}: {error}; build it with `cargo build --release`") from error
    if done.returncode != 0:
        raise ProgramError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
    return done.stdout
