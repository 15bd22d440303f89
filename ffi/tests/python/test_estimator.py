"""The estimators: scikit-learn's own checks, and the real trainer; rows are synthetic unless said otherwise."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from tickfuse import Model, OptionError, ProgramError, SchemaError, ShapeError
from tickfuse.estimator import TickfuseClassifier, TickfuseRegressor

pytestmark = pytest.mark.usefixtures("program")

SMALL: dict[str, Any] = {"n_hidden": 16, "epochs": 12, "batch": 8, "lr": 2e-2, "verbose": False}

# A row is answered from the rows before it too, so that what scikit-learn expects of rows that know nothing of each other is
# meaningless with more than one row of lookback. With one, all its checks pass.
OF_WINDOWS = {
    "check_classifiers_train": "the first rows have no window and their prediction is NaN",
    "check_methods_sample_order_invariance": "the order of rows is time",
    "check_methods_subset_invariance": "a subset lacks the rows before",
    "check_fit2d_1feature": "ten rows give five windows to learn from, whose numbers are all the same",
}


@parametrize_with_checks([TickfuseClassifier(lookback=1, **SMALL), TickfuseRegressor(lookback=1, **SMALL)])
def test_scikit_learns_checks_with_windows_of_one_row(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", [TickfuseClassifier, TickfuseRegressor])
def test_scikit_learns_checks_with_longer_windows_fail_where_rows_are_taken_for_independent(kind: Any) -> None:
    results = check_estimator(kind(lookback=3, **{**SMALL, "epochs": 2}), on_fail=None, on_skip=None)
    failed = {r["check_name"] for r in results if r["status"] == "failed"}
    assert failed <= set(OF_WINDOWS)
    assert {"check_methods_sample_order_invariance", "check_methods_subset_invariance"} <= failed


def series(n: int = 500, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and whether the last two first values add up to more than nothing."""
    rows = np.random.default_rng(seed).normal(size=(n, 2))
    return rows, np.r_[0, rows[1:, 0] + rows[:-1, 0]] > 0


def classifier(**options: Any) -> TickfuseClassifier:
    return TickfuseClassifier(**{"lookback": 4, **SMALL, "epochs": 20, "batch": 32, **options})


def test_windows_are_learnt_and_rows_without_one_have_no_prediction() -> None:
    rows, up = series()
    model = classifier().fit(rows, up.astype(int))
    later, truth = series(seed=2)
    predicted, proba = model.predict(later), model.predict_proba(later)
    assert np.isnan(predicted[:3]).all() and np.isnan(proba[:3]).all()
    assert set(predicted[3:]) == {0.0, 1.0}
    np.testing.assert_array_equal(model.has_prediction(later), np.arange(len(later)) >= 3)
    own = model.model_.session().predict_series(later)
    np.testing.assert_array_equal(proba[3:], own.values)
    right = (predicted[3:] == truth[3:]).mean()
    assert model.score(later, truth) == pytest.approx(right) and right > 0.9
    assert model.report_["validation"]["classes"]["accuracy"] > 0.9


def test_classes_that_are_no_numbers_are_none_without_a_window() -> None:
    rows, up = series()
    model = classifier().fit(rows, np.where(up, "buy", "sell"))
    assert list(model.classes_) == ["buy", "sell"]
    assert model.model_.outputs[0].labels == ("buy", "sell")
    predicted = model.predict(rows)
    assert list(predicted[:3]) == [None] * 3 and set(predicted[3:]) == {"buy", "sell"}
    assert model.predict(rows)[3:].tolist() == model.classes_[model.predict_proba(rows)[3:].argmax(axis=1)].tolist()


def frame(n: int = 300) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of two symbols in turn, a gap of an hour in the middle of the second."""
    (a, up_a), (b, up_b) = series(n, 3), series(n, 4)
    minutes = pd.date_range("2024-05-01", periods=n, freq="min", tz="UTC")
    first = pd.DataFrame({"ts": minutes, "symbol": "A", "x": a[:, 0], "z": a[:, 1], "up": up_a})
    delay = pd.to_timedelta((np.arange(n) >= n // 2) * 60, unit="min")
    second = pd.DataFrame({"ts": minutes + delay, "symbol": "B", "x": b[:, 0], "z": b[:, 1], "up": up_b})
    both = pd.concat([first, second]).sort_index(kind="stable").reset_index(drop=True)
    return both.drop(columns="up"), both["up"].to_numpy()


def test_windows_of_a_frame_stay_with_their_symbol_and_on_one_side_of_a_gap() -> None:
    rows, up = frame()
    model = classifier(time="ts", symbol="symbol").fit(rows, up)
    assert list(model.feature_names_in_) == ["ts", "symbol", "x", "z"] and model.n_features_in_ == 4
    assert [i.name for i in model.model_.inputs] == ["x", "z"]
    assert model.model_.schema.bar_interval_ns == 60_000_000_000
    proba = model.predict_proba(rows)
    second = proba[(rows["symbol"] == "B").to_numpy()]
    assert np.flatnonzero(np.isnan(second[:, 0])).tolist() == [0, 1, 2, 150, 151, 152]
    alone = model.predict_proba(rows[rows["symbol"] == "B"])
    np.testing.assert_array_equal(alone, second)
    shuffled = rows.sample(frac=1.0, random_state=0)
    with pytest.raises(SchemaError, match="expected increasing times"):
        model.predict(shuffled)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_frames_of_every_library_give_the_same_model(convert: Any) -> None:
    rows, up = frame()
    model = classifier(time="ts", symbol="symbol", epochs=2).fit(rows, up)
    other = clone(model).fit(convert(rows), up)
    assert other.model_.hash == model.model_.hash
    np.testing.assert_array_equal(other.predict_proba(convert(rows)), model.predict_proba(rows))


def test_arrays_with_times_and_symbols_give_what_a_frame_gives() -> None:
    rows, up = frame()
    about = {"times": rows["ts"], "symbols": rows["symbol"]}
    values = rows[["x", "z"]].to_numpy()
    by_frame = classifier(time="ts", symbol="symbol", epochs=2).fit(rows, up)
    by_array = classifier(epochs=2).fit(values, up, **about)
    np.testing.assert_array_equal(by_array.predict_proba(values, **about), by_frame.predict_proba(rows))
    with pytest.raises(ShapeError, match="times: expected 600, one per row, found 3"):
        by_array.predict(values, times=[1, 2, 3], symbols=rows["symbol"])


def test_a_tft_tells_symbols_apart_and_answers_for_strangers() -> None:
    rows, up = frame()
    up = np.where(rows["symbol"] == "B", ~up, up)
    model = classifier(time="ts", symbol="symbol", family="tft", n_heads=2, epochs=6).fit(rows, up)
    assert model.model_.inputs[-1].categories == ("<unknown>", "A", "B")
    renamed = rows.assign(symbol=rows["symbol"].map({"A": "B", "B": "A"}))
    assert model.score(rows, up) > model.score(renamed, up)
    assert model.has_prediction(rows.assign(symbol=rows["symbol"].map({"A": "New", "B": "Other"}))).any()


def real_bars() -> pd.DataFrame:
    """Daily bars of an index."""
    return pq.read_table(ROOT / "fixtures" / "data" / "SP500.1d.parquet").to_pandas().head(1500)


def test_real_bars_need_neither_features_nor_labels() -> None:
    bars = real_bars()
    bars["ts"] = pd.to_datetime(bars["ts"], unit="ms", utc=True)
    features = [
        {"name": "log_ret_1", "op": {"log_ret": {"lag": 1}}},
        {"name": "range", "op": "high_low_range"},
    ]
    options: dict[str, Any] = {"lookback": 8, "horizon": 2, "time": "ts", "features": features, "max_missing_bars": 10}
    model = classifier(**{**options, "epochs": 1}).fit(bars)
    assert model.model_.schema.target == "close[t+2] > close[t]"
    assert list(model.classes_) == [0, 1]
    has = model.has_prediction(bars)
    assert not has[:8].any() and has[8:].all(), "eight rows, of which the first needs the bar before"
    stream = model.model_.stream()
    stream.max_missing_bars = 10
    streamed = stream.push_bars(bars)
    np.testing.assert_array_equal(model.predict_proba(bars)[8:, 1], streamed.values[:, 0])
    regressor = TickfuseRegressor(**{**SMALL, **options, "epochs": 1}, levels=(0.1, 0.5, 0.9)).fit(bars)
    quantiles = regressor.predict_quantiles(bars)[8:]
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_array_equal(regressor.predict(bars)[8:], quantiles[:, 1])


def test_numbers_far_from_zero_are_learnt_with_what_is_not_known_about_them() -> None:
    rows, _ = series(600)
    y = 5000 + 3 * rows[:, 0] + np.random.default_rng(9).normal(size=len(rows))
    model = TickfuseRegressor(lookback=1, **{**SMALL, "epochs": 30, "batch": 32}).fit(rows, y)
    mean, deviation = model.predict(rows, return_std=True)
    assert model.score(rows, y) > 0.8
    assert 0.7 < np.median(deviation) < 1.5
    np.testing.assert_array_equal(mean, model.predict(rows))
    assert model.model_.schema.output_names == ("y.mean", "y.deviation")
    with pytest.raises(OptionError, match="levels: expected the levels of quantiles"):
        model.predict_quantiles(rows)


def test_a_work_folder_keeps_what_the_trainer_read_and_published(tmp_path: Path) -> None:
    rows, up = series(200)
    model = classifier(work_dir=tmp_path, name="mine", epochs=1).fit(rows, up)
    opened = Model(tmp_path / "models" / "mine" / "best")
    assert opened.hash == model.model_.hash == model.report_["hash"]
    assert "features = " in (tmp_path / "train.toml").read_text()
    clone(model).fit(rows, up)
    assert len(list((tmp_path / "models" / "mine" / "versions").iterdir())) == 2, "a second version beside the first"


def test_a_fitted_estimator_travels_and_a_clone_is_fresh(tmp_path: Path) -> None:
    rows, up = series(200)
    model = classifier(epochs=2, work_dir=None).fit(rows, up)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert again.model_.hash == model.model_.hash
    again.save(tmp_path / "m.safetensors")
    assert Model(tmp_path / "m.safetensors").hash == model.model_.hash
    fresh = clone(model).set_params(lookback=2)
    assert not hasattr(fresh, "model_") and fresh.get_params()["lookback"] == 2
    assert classifier(epochs=2, threads=2).fit(rows, up).model_.hash == model.model_.hash


def test_a_search_over_folds_of_time_runs() -> None:
    rows, up = series(400)
    search = GridSearchCV(classifier(epochs=3), {"n_hidden": [2, 8]}, cv=TimeSeriesSplit(3)).fit(rows, up)
    assert search.best_params_["n_hidden"] in (2, 8) and 0.0 < search.best_score_ <= 1.0


def test_progress_is_shown_and_refusals_of_the_trainer_are_raised(capfd: pytest.CaptureFixture[str]) -> None:
    rows, up = series(200)
    classifier(epochs=2, verbose=True).fit(rows, up)
    assert "epoch 1: train loss" in capfd.readouterr().err
    with pytest.raises(ProgramError, match="unknown field `colour`") as refused:
        classifier(fit_options={"colour": "red"}).fit(rows, up)
    assert refused.value.exit_code == 2
    with pytest.raises(ProgramError, match="feature `x1`: expected some variance"):
        classifier().fit(np.column_stack([rows[:, 0], np.ones(200)]), up)
    assert capfd.readouterr().err == ""


def test_what_cannot_be_learnt_from_is_refused_by_name() -> None:
    rows, up = frame()
    with pytest.raises(SchemaError, match="expected no column `ts`"):
        classifier(epochs=1).fit(rows[["x"]].assign(ts=1.0), up)
    with pytest.raises(SchemaError, match="column `symbol`: expected numbers, found str"):
        classifier(time="ts").fit(rows, up)
    with pytest.raises(ValueError, match="y: expected two classes or more, found 1 class"):
        classifier().fit(series()[0], np.zeros(500))
    with pytest.raises(ValueError, match="labels are computed from bars only"):
        classifier().fit(rows)
    with pytest.raises(ShapeError, match="the 5 columns open, high, low, close, volume of bars, found 2"):
        classifier(features="scale-free").fit(series()[0])
    with pytest.raises(OptionError, match="family: expected lstm or tft, found 'gru'"):
        classifier(family="gru").fit(*series())


def test_the_package_imports_without_scikit_learn() -> None:
    code = "import sys, tickfuse; print('sklearn' in sys.modules)"
    environment = {"PYTHONPATH": str(ROOT / "ffi" / "python")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "False"
