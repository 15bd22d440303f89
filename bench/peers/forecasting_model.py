"""A TemporalFusionTransformer of pytorch-forecasting on bars: raw columns, dataset, training, the library's own answers.

The target is the log return of a bar. Nothing is tuned: the sizes are common ones, and the checkpoint kept is the one with the smallest
loss on the bars between training and held-out tail, as Lightning's `ModelCheckpoint` writes it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_forecasting import GroupNormalizer, NaNLabelEncoder, TemporalFusionTransformer, TimeSeriesDataSet
from pytorch_forecasting.metrics import QuantileLoss

LOOKBACK, MIN_LOOKBACK, N_AHEAD = 48, 24, 8
TAUS = [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98]
OBSERVED = ["ret", "range", "body", "activity", "activity_change"]
BATCH, RATE, N_CHECKS = 64, 3e-3, 5
QUIET: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu", "devices": 1}


def frame_of_bars(paths: Iterable[Path]) -> pd.DataFrame:
    """Raw columns of all series; `step` counts bars from the first one of any series."""
    bars = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    bar_ms = int(bars.groupby("symbol")["ts"].diff().median())
    series = [_columns(group.sort_values("ts"), bar_ms, int(bars["ts"].min())) for _, group in bars.groupby("symbol")]
    return pd.concat(series, ignore_index=True)


def _columns(bars: pd.DataFrame, bar_ms: int, first_ms: int) -> pd.DataFrame:
    """All but the first bar of a series, which has no return."""
    symbol = bars["symbol"].iloc[0]
    gaps = int((bars["ts"].diff().iloc[1:] != bar_ms).sum())
    if gaps:
        raise SystemExit(f"{symbol}: expected a bar every {bar_ms} ms, found {gaps} gaps or repetitions")
    when = pd.to_datetime(bars["ts"], unit="ms", utc=True)
    angle = 2 * np.pi * when.dt.hour / 24
    activity = np.log1p(bars["volume"])
    columns = {
        "symbol": bars["symbol"].astype(str),
        "step": (bars["ts"] - first_ms) // bar_ms,
        "hour_sin": np.sin(angle),
        "hour_cos": np.cos(angle),
        "weekday": when.dt.day_name(),
        "ret": np.log(bars["close"]).diff(),
        "range": np.log(bars["high"] / bars["low"]),
        "body": np.log(bars["close"] / bars["open"]),
        "activity": activity,
        "activity_change": activity.diff(),
    }
    return pd.DataFrame(columns).iloc[1:]


@dataclass(frozen=True)
class Split:
    """First steps of the bars that choose the checkpoint and of the held-out tail."""

    choosing: int
    tail: int

    @classmethod
    def of(cls, frame: pd.DataFrame, share: float) -> "Split":
        first, last = int(frame["step"].min()), int(frame["step"].max())
        n = round((last - first + 1) * share)
        return cls(last + 1 - 2 * n, last + 1 - n)

    def training(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["step"] < self.choosing].reset_index(drop=True)

    def choice(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[(frame["step"] >= self.choosing - LOOKBACK) & (frame["step"] < self.tail)].reset_index(drop=True)

    def held_out(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The tail with the lookback of its first window: every step ahead of a whole window is in the tail."""
        return frame[frame["step"] >= self.tail - LOOKBACK].reset_index(drop=True)


def dataset(bars: pd.DataFrame) -> TimeSeriesDataSet:
    return TimeSeriesDataSet(
        bars,
        time_idx="step",
        target="ret",
        group_ids=["symbol"],
        max_encoder_length=LOOKBACK,
        min_encoder_length=MIN_LOOKBACK,
        max_prediction_length=N_AHEAD,
        static_categoricals=["symbol"],
        time_varying_known_categoricals=["weekday"],
        time_varying_known_reals=["step", "hour_sin", "hour_cos"],
        time_varying_unknown_reals=OBSERVED,
        categorical_encoders={"weekday": NaNLabelEncoder(add_nan=True)},
        target_normalizer=GroupNormalizer(groups=["symbol"]),
        add_relative_time_idx=True,
        add_target_scales=True,
        add_encoder_length=True,
    )


def train(training: TimeSeriesDataSet, choosing: pd.DataFrame, n_steps: int, seed: int, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint and what training took."""
    pl.seed_everything(seed)
    model = TemporalFusionTransformer.from_dataset(
        training, learning_rate=RATE, hidden_size=32, attention_head_size=4, hidden_continuous_size=16, dropout=0.1, loss=QuantileLoss(TAUS)
    )
    best = ModelCheckpoint(folder, "model", monitor="val_loss", enable_version_counter=False)
    checks = {"val_check_interval": max(n_steps // N_CHECKS, 1), "check_val_every_n_epoch": None, "num_sanity_val_steps": 0}
    callbacks = [best, EarlyStopping("val_loss", patience=N_CHECKS)]
    trainer = pl.Trainer(max_steps=n_steps, max_epochs=-1, gradient_clip_val=0.1, callbacks=callbacks, **checks, **QUIET)
    validation = TimeSeriesDataSet.from_dataset(training, choosing, stop_randomization=True)
    started = time.monotonic()
    trainer.fit(model, *(d.to_dataloader(train=d is training, batch_size=BATCH, num_workers=0) for d in (training, validation)))
    facts = {
        "steps": trainer.global_step,
        "seconds": round(time.monotonic() - started, 1),
        "batch": BATCH,
        "windows": len(training),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return Path(best.best_model_path), facts


Windows = dict[tuple[str, int, int], np.ndarray]


def every_window(model: TemporalFusionTransformer, frame: pd.DataFrame) -> Windows:
    """Quantiles [steps, taus] of every window of the frame, by series, first step ahead and length of the past."""
    windows = TimeSeriesDataSet.from_parameters(model.dataset_parameters, frame, stop_randomization=True)
    return _predicted(model, windows)


def last_windows(model: TemporalFusionTransformer, frame: pd.DataFrame) -> Windows:
    """The same of what `predict` takes of a raw frame: the window that ends each series."""
    return _predicted(model, frame)


def _predicted(model: TemporalFusionTransformer, data: Any) -> Windows:
    found = model.predict(data, mode="quantiles", return_index=True, return_x=True, batch_size=256, trainer_kwargs=dict(QUIET))
    lengths = found.x["encoder_lengths"].tolist()
    keys = zip(found.index["symbol"], found.index["step"], lengths, strict=True)
    return {(str(s), int(t), int(n)): q for (s, t, n), q in zip(keys, found.output.numpy(), strict=True)}


def pinball(quantiles: np.ndarray, returns: np.ndarray) -> float:
    """Mean over windows, steps and taus of max(tau e, (tau - 1) e); quantiles [..., taus], returns [...]."""
    error = returns[..., None] - quantiles
    taus = np.array(TAUS)
    return float(np.mean(np.maximum(taus * error, (taus - 1) * error)))
