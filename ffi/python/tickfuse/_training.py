"""From rows and a configuration to a published model, by the program `tickfuse` in a folder of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickfuse import _program, _toml
from tickfuse._rows import Rows
from tickfuse.errors import SchemaError

TIME, SYMBOL = "ts", "symbol"
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Job:
    """What is to be learnt from which rows."""

    config: Mapping[str, Any]
    """The configuration but for its snapshot."""
    rows: Rows
    label: tuple[str, NDArray[np.float64]] | None
    """A column of labels beside the rows; NaN where there is none."""
    is_bars: bool


def train(folder: Path, job: Job, show: bool) -> dict[str, Any]:
    """Writes rows, snapshot and configuration into `folder`, trains and publishes there; returns the program's report.

    The model is `models/NAME/best` in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "rows.parquet"
    _write(file, job)
    kind: list[str] = [] if job.is_bars else ["--table"]
    snapshot = _program.document(["snapshot", "create", str(file), "--out", str(folder / "snapshots"), *kind])
    data = {**job.config["data"], "snapshot": str(Path(snapshot["path"]).absolute()), "ordinal": job.rows.times is None}
    config = folder / "train.toml"
    config.write_text(_toml.text({**job.config, "data": data}), encoding="utf-8")
    where = ["--out", str(folder / "run"), "--registry", str(folder / "models")]
    report: dict[str, Any] = _program.document(["train", "--config", str(config), *where, "--promote"], show)
    return report


def _write(file: Path, job: Job) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, n = job.rows, len(job.rows)
    times = np.arange(n) * SECOND_NS if rows.times is None else rows.times
    if rows.times is None and rows.symbols is not None:
        times = np.empty(n, np.int64)
        for _, places in rows.of_symbols():
            times[places] = np.arange(len(places)) * SECOND_NS
    columns = {
        TIME: pa.array(times, pa.timestamp("ns", "UTC")),
        SYMBOL: pa.array(["rows"] * n if rows.symbols is None else list(rows.symbols), pa.string()),
    }
    own = {name: rows.values[:, i] for i, name in enumerate(rows.names)}
    for name, values in [*own.items(), *([job.label] if job.label else [])]:
        if name in columns:
            raise SchemaError(f"X: expected no column `{name}`, which names the program's own column")
        columns[name] = pa.array(values, pa.float64())
    pq.write_table(pa.table(columns), file)
