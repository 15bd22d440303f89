"""The NautilusTrader example, run by its back-test engine on real daily bars."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tickfuse
from conftest import ROOT

pytest.importorskip("nautilus_trader", reason="nautilus_trader is not installed (extra `nautilus`)")
pytest.importorskip("sklearn", reason="scikit-learn, which trains the model here, is not installed (extra `sklearn`)")

BARS = ROOT / "fixtures" / "data" / "SP500.1d.parquet"
N_TRAINED = 1500
POLICY = {"enter": 0.52, "leave": 0.5, "max_missing_bars": 10}


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("strategy", ROOT / "ffi" / "python" / "examples" / "nautilus_strategy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["strategy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(program: str, example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of the first bars."""
    from tickfuse.estimator import TickfuseClassifier

    bars = example.read(BARS).head(N_TRAINED)
    features = [{"name": "r", "op": {"log_ret": {"lag": 1}}}, {"name": "v", "op": {"volume_ratio": {"n": 5}}}]
    sizes = {"lookback": 8, "n_hidden": 4, "epochs": 2, "lr": 1e-2, "verbose": False}
    made = TickfuseClassifier(features=features, max_missing_bars=10, **sizes).fit(bars)
    path = tmp_path_factory.mktemp("nautilus") / "model.safetensors"
    made.save(path)
    return path


def test_a_back_test_gives_the_stream_the_bars_as_they_are(example: ModuleType, model: Path) -> None:
    bars = example.read(BARS).iloc[N_TRAINED : N_TRAINED + 800]
    run = example.back_test(model, bars, "SP500", **POLICY)
    stream = tickfuse.Model(model).stream()
    stream.max_missing_bars = 10
    own = stream.push_bars(bars.rename_axis("time").reset_index(), time="time")
    assert run.n_bars == len(run.push_ns) == 800
    np.testing.assert_array_equal(run.answers, own.values)
    assert run.times_ns == [t.value for t in own.index]


def test_orders_are_those_of_the_policy(example: ModuleType, model: Path) -> None:
    bars = example.read(BARS).iloc[N_TRAINED : N_TRAINED + 800]
    signals = example.back_test(model, bars, "SP500", **POLICY).answers[:, 0]
    enter, leave = (float(np.quantile(signals, q)) for q in (0.7, 0.3))
    run = example.back_test(model, bars, "SP500", enter=enter, leave=leave, max_missing_bars=10)
    n_orders, is_long = 0, False
    for signal in signals:
        if (not is_long and signal > enter) or (is_long and signal < leave):
            n_orders, is_long = n_orders + 1, not is_long
    assert run.n_orders == n_orders > 10
    never = example.back_test(model, bars, "SP500", enter=2.0, leave=-1.0, max_missing_bars=10)
    assert never.n_orders == 0
