"""The nets that every engine runs: fixtures with their golden answers, and an empty net that shows what a call costs."""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
sys.path.insert(0, str(FIXTURES / "make"))
from nets import LSTM_A, SIMPLE_TFT, TINY_TFT, LstmNet, Spec  # noqa: E402  (the path is set just above)


@dataclass(frozen=True)
class Case:
    """One net: id as in the tables, PyTorch module, raw windows `[n, T, F]`, golden answers and tolerances."""

    id: str
    shape: str
    folder: Path
    module: torch.nn.Module
    windows: np.ndarray
    expected: dict[str, np.ndarray]
    tolerance: dict[str, float]
    weights_sha256: str


class Empty(torch.nn.Module):
    """Picks one number of the window: next to nothing to compute."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1, :1]


def all_cases() -> list[Case]:
    """M1, M2 and LSTM_A."""
    return [
        _case("M1", "60x5, LSTM 1x64, sigmoid", TINY_TFT),
        _case("M2", "64x5, LSTM 2x128, dense 64, sigmoid", SIMPLE_TFT),
        _case("LSTM_A", "50x100, LSTM 2x100, linear", LSTM_A),
    ]


def _case(id_: str, shape: str, spec: Spec) -> Case:
    manifest = tomllib.loads((FIXTURES / "MANIFEST.toml").read_text(encoding="utf-8"))["files"]
    folder = FIXTURES / "nets" / spec.name
    module = LstmNet(spec).eval().requires_grad_(False)
    module.load_state_dict(load_file(folder / "weights.safetensors"))
    golden = dict(np.load(folder / "golden.npz"))
    return Case(
        id=id_,
        shape=shape,
        folder=folder,
        module=module,
        windows=golden["input"],
        expected={"f32": golden["output_f64"], "bf16": golden["output_bf16_weights"]},
        tolerance=manifest[f"nets/{spec.name}/golden.npz"]["tolerance"],
        weights_sha256=manifest[f"nets/{spec.name}/weights.safetensors"]["sha256"],
    )


def empty_case(like: Case) -> Case:
    """The empty net on the windows of another case."""
    answer = like.windows[:, -1, :1].astype(np.float64)
    return Case("empty", "picks one number", like.folder, Empty(), like.windows, {"f32": answer}, {"f32": 0.0}, "")
