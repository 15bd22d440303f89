"""Estimators in the manner of scikit-learn: `fit` runs the trainer, `predict` the model it published (extra `sklearn`).

    classifier = TickfuseClassifier(lookback=32, horizon=5, time="ts", symbol="symbol")
    classifier.fit(frame, moved_up)                  # columns of the frame are the features of a row
    classifier.predict_proba(later)

    TickfuseClassifier(features="scale-free", horizon=5, time="ts").fit(bars)    # features and label computed from bars

X holds rows in order of time, each symbol's own; rows of several symbols may stand between each other. It is an array or a
frame of pandas, polars or pyarrow. A column of `y` is asked of the row it stands in and may look `horizon` rows ahead; the last
`horizon` of a symbol are not read. The latest decisions, a share of `validation`, choose the epoch; labels that reach into them
are left out of training.

A row is answered from itself and the `lookback - 1` rows before it. The first rows of a symbol, or behind a gap, have no such
window and no prediction: theirs is NaN, or None where classes are no numbers (numbers of classes then come as floats). Nothing
is padded. `has_prediction` says which rows have one, `score` looks at those alone. With `lookback=1` every row has.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import assert_all_finite, check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from tickfuse import _rows, _training, frames
from tickfuse._rows import Rows
from tickfuse._training import Job
from tickfuse.errors import OptionError
from tickfuse.model import Model
from tickfuse.step import Bar

LARGEST_SEED = 2**31 - 1


class _Estimator(BaseEstimator):
    """What both share; the parameters are described in `TickfuseClassifier`."""

    def __init__(
        self,
        lookback: int = 32,
        horizon: int = 1,
        *,
        features: Any = None,
        time: str | None = None,
        symbol: str | None = None,
        max_missing_bars: int = 0,
        family: str = "lstm",
        n_hidden: int = 32,
        n_layers: int = 1,
        n_heads: int = 4,
        head: tuple[int, ...] = (),
        dropout: float = 0.0,
        epochs: int = 20,
        batch: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int | None = 5,
        validation: float = 0.2,
        fit_options: dict[str, Any] | None = None,
        precision: str = "f32",
        name: str = "model",
        random_state: Any = None,
        threads: int = 1,
        work_dir: Any = None,
        verbose: bool = True,
    ) -> None:
        self.lookback = lookback
        self.horizon = horizon
        self.features = features
        self.time = time
        self.symbol = symbol
        self.max_missing_bars = max_missing_bars
        self.family = family
        self.n_hidden = n_hidden
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.head = head
        self.dropout = dropout
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation = validation
        self.fit_options = fit_options
        self.precision = precision
        self.name = name
        self.random_state = random_state
        self.threads = threads
        self.work_dir = work_dir
        self.verbose = verbose

    def has_prediction(self, X: Any, *, times: Any = None, symbols: Any = None) -> NDArray[np.bool_]:  # noqa: N803
        """Which rows of X end a whole window."""
        answers = self._answers(X, times, symbols)
        return ~np.isnan(answers[:, 0])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file, which everything else that runs models opens."""
        check_is_fitted(self, "model_")
        Path(path).write_bytes(self._bundle)

    def _fit(self, rows: Rows, labels: list[dict[str, Any]], loss: dict[str, Any], y: NDArray[np.float64] | None) -> None:
        """Trains on `labels`, of which `y` is the values of a column, and opens what was published."""
        least = self.lookback + self.horizon + 1
        if len(rows) < least:
            raise ValueError(f"X: expected {least} rows or more for a lookback of {self.lookback}, found n_samples={len(rows)}")
        label = None if y is None else (labels[0]["name"], y)
        job = Job(self._config(rows, labels, loss), rows, label, self.features is not None)
        if self.work_dir is not None:
            self._train(Path(self.work_dir), job)
            return
        with tempfile.TemporaryDirectory(prefix="tickfuse-") as folder:
            self._train(Path(folder), job)

    def _train(self, folder: Path, job: Job) -> None:
        self.report_: dict[str, Any] = _training.train(folder, job, bool(self.verbose))
        file = folder / "models" / self.name / "best" / "model.safetensors"
        self._bundle = file.read_bytes()
        self.model_ = Model.from_bytes(self._bundle)

    def _config(self, rows: Rows, labels: list[dict[str, Any]], loss: dict[str, Any]) -> dict[str, Any]:
        columns = {"columns": list(rows.names)}
        named = {"set": self.features} if isinstance(self.features, str) else {"list": self.features}
        seed = 42 if self.random_state is None else int(check_random_state(self.random_state).randint(LARGEST_SEED))
        fit = {name: getattr(self, name) for name in ("epochs", "batch", "lr", "weight_decay", "patience", "threads")}
        return {
            "name": self.name,
            "precision": self.precision,
            "features": columns if self.features is None else named,
            "labels": labels,
            "split": {"shares": {"train": 1.0 - self.validation, "validation": self.validation}},
            "data": {"max_missing_bars": self.max_missing_bars},
            "window": {"lookback": self.lookback, "horizon": self.horizon},
            "net": self._net(rows.symbols is not None),
            "fit": {**fit, "seed": seed, "loss": loss, **(self.fit_options or {})},
        }

    def _net(self, has_symbols: bool) -> dict[str, Any]:
        net = {"family": self.family, "n_hidden": self.n_hidden, "n_layers": self.n_layers, "dropout": float(self.dropout)}
        match self.family:
            case "lstm":
                return {**net, "head": list(self.head)}
            case "tft":
                return {**net, "n_heads": self.n_heads, "symbol": has_symbols}
        raise OptionError(f"family: expected lstm or tft, found {self.family!r}")

    def _read(self, X: Any, times: Any, symbols: Any, reset: bool) -> Rows:  # noqa: N803
        """Rows of X, whose columns and their number are noted, or held against those of `fit`."""
        is_bars = self.features is not None
        if not frames.is_frame(X):
            array: Any = validate_data(self, X, reset=reset, dtype=np.float64)
            return _rows.of_array(array, is_bars, times, symbols)
        validate_data(self, X, reset=reset, skip_check_array=True)
        rows = _rows.of_frame(X, is_bars, self.time, self.symbol, times, symbols)
        check_array(rows.values, dtype="float64", input_name="X", estimator=self)
        return rows

    def _answers(self, X: Any, times: Any, symbols: Any) -> NDArray[np.float32]:  # noqa: N803
        """`[n_rows, n_outputs]`, NaN where a row ends no whole window."""
        check_is_fitted(self, "model_")
        rows = self._read(X, times, symbols, reset=False)
        answers = np.full((len(rows), self.model_.n_outputs), np.nan, np.float32)
        if self.features is None:
            self._answer_rows(rows, answers)
        else:
            self._answer_bars(rows, answers)
        return answers

    def _answer_rows(self, rows: Rows, answers: NDArray[np.float32]) -> None:
        model = self.model_
        interval, session = model.schema.bar_interval_ns, model.session()
        max_step = None if interval is None else interval * (self.max_missing_bars + 1)
        for symbol, places in rows.stretches(max_step):
            if len(places) < model.n_rows:
                continue
            values = rows.values[places]
            if model.n_features > values.shape[1]:
                values = np.column_stack([values, np.full(len(values), self._code(symbol))])
            answers[places[model.n_rows - 1 :]] = session.predict_series(values).values

    def _answer_bars(self, rows: Rows, answers: NDArray[np.float32]) -> None:
        if rows.times is None:
            raise OptionError("times: expected the times of the bars, of which features are computed, found none")
        for symbol, places in rows.of_symbols():
            stream = self.model_.stream()
            stream.max_missing_bars = self.max_missing_bars
            if self.model_.inputs[-1].categories is not None:
                stream.set_category(_training.SYMBOL, str(symbol))
            bars = zip(rows.times[places].tolist(), *rows.values[places].T.tolist(), strict=True)
            for place, bar in zip(places, bars, strict=True):
                answer = stream.push_bar(Bar(*bar)).answer
                if answer is not None:
                    answers[place] = answer.values

    def _code(self, symbol: str | None) -> int:
        labels = self.model_.inputs[-1].categories or ()
        unknown = self.model_.inputs[-1].unknown or 0
        return labels.index(symbol) if symbol in labels else unknown

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(cast(Any, super()).__getstate__())
        state.pop("model_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_bundle" in state:
            self.model_ = Model.from_bytes(self._bundle)


class TickfuseClassifier(ClassifierMixin, _Estimator):
    """Classes of rows.

    `lookback` rows end with the one that is asked about, and a label may look `horizon` rows ahead. `features` None takes X's
    columns as they stand; the name of a feature set, or a list of definitions, computes them from bars, whose columns are
    `open`, `high`, `low`, `close` and `volume`. `time` and `symbol` name those columns of a frame (a pandas frame indexed by
    time needs no name), and `fit` and `predict` take both as arrays too. `max_missing_bars` may be missing between
    neighbours of a window; without times, rows only number themselves.

    `family` "lstm" has `n_hidden`, `n_layers` and the dense widths `head`; "tft" has `n_heads` and tells symbols, where there
    are any, apart. `epochs`, `batch`, `lr`, `weight_decay`, `patience` and all of `fit_options` stand in the trainer's table
    `[fit]`; `validation` is the share of the latest decisions that chooses the epoch. `random_state` None is the trainer's own
    seed: the same data give the same model, whatever `threads`.

    `work_dir` keeps rows, snapshot, configuration, run and the registry with the model `name`; without, they are gone
    after `fit`. `verbose` passes the trainer's progress on to standard error.

    Fitted: `classes_`, `model_` (a `tickfuse.Model`), `report_` (the trainer's figures), `n_features_in_` and, of frames,
    `feature_names_in_`.
    """

    def fit(self, X: Any, y: Any = None, *, times: Any = None, symbols: Any = None) -> Self:  # noqa: N803
        """Learns the classes y of the rows X; without y, whether the close `horizon` bars ahead is higher (1) or not (0)."""
        if y is None:
            return self._fit_direction(X, times, symbols)
        rows = self._read(X, times, symbols, reset=True)
        classes, codes = _encoded(_column(y, len(rows)))
        if len(classes) < 2:
            raise ValueError(f"y: expected two classes or more, found {len(classes)} class")
        names = [str(c) or "''" for c in classes]
        label = {"kind": "column", "name": _free("y", rows.names), "classes": names}
        self._fit(rows, [label], {"kind": "cross_entropy", "classes": names}, codes.astype(np.float64))
        self.classes_ = classes
        return self

    def predict(self, X: Any, *, times: Any = None, symbols: Any = None) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each row; NaN or None for one without a window."""
        proba = self.predict_proba(X, times=times, symbols=symbols)
        has = ~np.isnan(proba[:, 0])
        if has.all():
            return cast(NDArray[Any], self.classes_[proba.argmax(axis=1)])
        is_number = self.classes_.dtype.kind in "iuf"
        found = np.full(len(proba), np.nan if is_number else None, np.float64 if is_number else object)
        found[has] = self.classes_[proba[has].argmax(axis=1)]
        return found

    def predict_proba(self, X: Any, *, times: Any = None, symbols: Any = None) -> NDArray[np.float32]:  # noqa: N803
        """`[n_rows, n_classes]` in the order of `classes_`; NaN for a row without a window."""
        answers = self._answers(X, times, symbols)
        return answers if answers.shape[1] > 1 else np.column_stack([1 - answers[:, 0], answers[:, 0]])

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        times: Any = None,
        symbols: Any = None,
    ) -> float:
        """Share of right classes among the rows that have a prediction."""
        proba = self.predict_proba(X, times=times, symbols=symbols)
        has, truth, weight = _scored(proba, y, sample_weight)
        return float(accuracy_score(truth, self.classes_[proba[has].argmax(axis=1)], sample_weight=weight))

    def _fit_direction(self, X: Any, times: Any, symbols: Any) -> Self:  # noqa: N803
        _need_bars(self.features)
        rows = self._read(X, times, symbols, reset=True)
        self._fit(rows, [{"kind": "direction"}], {"kind": "bce"}, None)
        self.classes_ = np.array([0, 1])
        return self


class TickfuseRegressor(RegressorMixin, _Estimator):
    """Numbers of rows, with what is not known about them; parameters as in `TickfuseClassifier`.

    `levels` None learns a Gaussian: `predict` is its mean, with `return_std` beside its deviation. Levels such as
    (0.1, 0.5, 0.9) learn quantiles: `predict` is the one in the middle, `predict_quantiles` gives all.
    """

    def __init__(
        self,
        lookback: int = 32,
        horizon: int = 1,
        *,
        levels: tuple[float, ...] | None = None,
        features: Any = None,
        time: str | None = None,
        symbol: str | None = None,
        max_missing_bars: int = 0,
        family: str = "lstm",
        n_hidden: int = 32,
        n_layers: int = 1,
        n_heads: int = 4,
        head: tuple[int, ...] = (),
        dropout: float = 0.0,
        epochs: int = 20,
        batch: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int | None = 5,
        validation: float = 0.2,
        fit_options: dict[str, Any] | None = None,
        precision: str = "f32",
        name: str = "model",
        random_state: Any = None,
        threads: int = 1,
        work_dir: Any = None,
        verbose: bool = True,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "levels", "__class__")}
        super().__init__(**given)
        self.levels = levels

    def fit(self, X: Any, y: Any = None, *, times: Any = None, symbols: Any = None) -> Self:  # noqa: N803
        """Learns the numbers y of the rows X; without y, the log return of the close over `horizon` bars."""
        loss: dict[str, Any] = {"kind": "gaussian_nll", "gaussian": {"mean": 0, "deviation": 1, "scale": "softplus"}}
        if self.levels is not None:
            loss = {"kind": "pinball", "levels": [float(tau) for tau in self.levels]}
        if y is None:
            _need_bars(self.features)
            rows = self._read(X, times, symbols, reset=True)
            self._fit(rows, [{"kind": "return", "log": True}], loss, None)
            return self
        rows = self._read(X, times, symbols, reset=True)
        values = _column(y, len(rows)).astype(np.float64)
        check_array(values[:, None], input_name="y", estimator=self)
        self._fit(rows, [{"kind": "column", "name": _free("y", rows.names)}], loss, values)
        return self

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        *,
        times: Any = None,
        symbols: Any = None,
    ) -> Any:
        """The mean, or the quantile in the middle; with `return_std` and its deviation. NaN for a row without a window."""
        answers = self._answers(X, times, symbols)
        if self.levels is not None:
            if return_std:
                raise OptionError("return_std: expected a Gaussian (levels=None), found quantiles")
            return answers[:, len(self.levels) // 2]
        return (answers[:, 0], answers[:, 1]) if return_std else answers[:, 0]

    def predict_quantiles(self, X: Any, *, times: Any = None, symbols: Any = None) -> NDArray[np.float32]:  # noqa: N803
        """`[n_rows, n_levels]`, rising; NaN for a row without a window."""
        if self.levels is None:
            raise OptionError("levels: expected the levels of quantiles, found None, which learns a Gaussian")
        return self._answers(X, times, symbols)

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        times: Any = None,
        symbols: Any = None,
    ) -> float:
        """The coefficient of determination of the rows that have a prediction."""
        predicted = np.asarray(self.predict(X, times=times, symbols=symbols))[:, None]
        has, truth, weight = _scored(predicted, y, sample_weight)
        return float(r2_score(truth, predicted[has], sample_weight=weight))


def _column(y: Any, n: int) -> NDArray[Any]:
    """y as one value per row."""
    values = np.asarray(column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True))
    if len(values) != n:
        raise ValueError(f"y: expected {n} values, one per row, found {len(values)}: inconsistent numbers of samples")
    return values


def _encoded(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    if values.dtype.kind == "f":
        assert_all_finite(values, input_name="y")
    check_classification_targets(values)
    return np.unique(values, return_inverse=True)


def _scored(predicted: NDArray[Any], y: Any, sample_weight: Any) -> tuple[NDArray[np.bool_], NDArray[Any], Any]:
    """Which rows have a prediction, and what is true of those."""
    has = ~np.isnan(predicted[:, 0])
    if not has.any():
        raise ValueError("X: expected a row with a whole window, found none; see has_prediction")
    truth = _column(y, len(predicted))[has]
    return has, truth, None if sample_weight is None else np.asarray(sample_weight)[has]


def _free(name: str, taken: tuple[str, ...]) -> str:
    while name in taken:
        name += "_"
    return name


def _need_bars(features: Any) -> None:
    if features is None:
        raise ValueError(
            "y: expected one value per row, found None: the estimator requires y to be passed, but the target y is None; "
            "labels are computed from bars only, with features such as 'scale-free'"
        )
