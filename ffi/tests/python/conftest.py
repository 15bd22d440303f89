"""Builds the library and the models of `ffi/examples/test_models.rs`, and lays windows and Rust's answers beside them.

    pip install -r ffi/tests/python/requirements.txt
    python -m pytest ffi/tests/python

TICKFUSE_TEST_INSTALLED=1 tests the installed package with the library it brings instead of the source tree.
"""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("lstm_f32", "lstm_bf16", "lstm_dated", "lstm_bars", "tft", "tft_bars", "tft_ahead", "xtrend")

if os.environ.get("TICKFUSE_TEST_INSTALLED") != "1":
    sys.path.insert(0, str(ROOT / "ffi" / "python"))

# What needs a package that not everybody has.
EXTRAS = {
    "pytorch_forecasting": "test_export_pytorch_forecasting.py",
    "mlflow": "test_mlflow.py",
    "sklearn": "test_estimator.py",
}
from tickfuse import _program  # noqa: E402

collect_ignore = [file for package, file in EXTRAS.items() if importlib.util.find_spec(package) is None]


@dataclass(frozen=True)
class Case:
    """A model file, windows `[n, n_rows, n_features]` for it, and what Rust says of both."""

    path: Path
    windows: np.ndarray
    said: dict[str, Any]

    @property
    def answers(self) -> np.ndarray:
        return np.array([a["bits"] for a in self.said["answers"]], np.uint32).view(np.float32)

    @property
    def flags(self) -> list[int]:
        return [a["flags"] for a in self.said["answers"]]


def _artifacts(*targets: str) -> dict[str, Path]:
    command = ["cargo", "build", *targets, "--message-format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    made = [m for m in messages if m["reason"] == "compiler-artifact"]
    return {
        m["target"]["name"]: Path(f) for m in made for f in m["filenames"] if Path(f).suffix in ("", ".so", ".dylib", ".dll")
    }


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the models; the library is where the package looks for it."""
    made = _artifacts("-p", "tickfuse-ffi", "--lib", "--example", "test_models")
    folder = tmp_path_factory.mktemp("models")
    if os.environ.get("TICKFUSE_TEST_INSTALLED") != "1":
        os.environ["TICKFUSE_LIBRARY"] = str(made["tickfuse"])
    subprocess.run([made["test_models"], folder], check=True)
    return folder


@pytest.fixture(scope="session")
def program(built: Path) -> str:
    """The program, where the package looks for it: the one named by TICKFUSE_PROGRAM, or a fresh one."""
    if "TICKFUSE_PROGRAM" not in os.environ and os.environ.get("TICKFUSE_TEST_INSTALLED") != "1":
        os.environ["TICKFUSE_PROGRAM"] = str(_artifacts("-p", "tickfuse-train", "--bin", "tickfuse")["tickfuse"])
    return _program.path()


@pytest.fixture(scope="session")
def cases(built: Path) -> dict[str, Case]:
    """All cases by name."""
    return {name: _case(built, name) for name in NAMES}


def _case(folder: Path, name: str) -> Case:
    said = json.loads((folder / f"{name}.json").read_text())
    values = np.fromfile(folder / f"{name}.windows.f32", np.float32)
    windows = values.reshape(len(said["answers"]), said["n_rows"], -1)
    return Case(folder / f"{name}.safetensors", windows, said)


@pytest.fixture(params=NAMES)
def case(cases: dict[str, Case], request: pytest.FixtureRequest) -> Case:
    """Each case in turn."""
    return cases[request.param]


@pytest.fixture
def lstm(cases: dict[str, Case]) -> Case:
    """Seven rows of x0, x1, x2; x1 is imputed, the others are refused where they are missing."""
    return cases["lstm_f32"]


@pytest.fixture
def tft(cases: dict[str, Case]) -> Case:
    """Five rows and three ahead, with static, known and observed columns; static0 and known0 are categorical."""
    return cases["tft"]
