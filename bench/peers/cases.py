"""The nets that every engine runs: fixtures with their golden answers, seeded nets with a float64 answer, an empty net that
shows what a call costs."""

import copy
import json
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
sys.path.insert(0, str(FIXTURES / "make"))
import family_nets  # noqa: E402  (the path is set just above)
from nets import LSTM_A, SIMPLE_TFT, TINY_TFT, LstmNet, Spec, seeded  # noqa: E402

LSTM_B = replace(LSTM_A, name="lstm_b", lookback=100, n_hidden=200, n_layers=3, features=tuple(f"x{j:03d}" for j in range(250)), seed=1005)
LSTM_C = replace(LSTM_A, name="lstm_c", lookback=100, n_hidden=1000, n_layers=4, features=tuple(f"x{j:03d}" for j in range(500)), seed=1006)
N_WINDOWS = 8
# Of the answers' size: families fold before they round, so bf16 is held against the float64 answer of the unrounded weights; so is
# i16 of every net.
F32_SHARE, BF16_SHARE, I16_SHARE = 5e-6, 2e-2, 1e-3


@dataclass(frozen=True)
class Case:
    """One net: id as in the tables, folder with its weights, PyTorch module, raw windows `[n, T, F]`, golden answers and tolerances.

    The folder holds what `tickfuse import torch` reads: `weights.safetensors` and `net.toml`.
    """

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


def all_cases(work: Path) -> dict[str, Callable[[], Case]]:
    """Makers by id; what they write goes to folders in `work`."""
    return {
        "M1": lambda: _fixture("M1", "60x5, LSTM 1x64, sigmoid", TINY_TFT),
        "M2": lambda: _fixture("M2", "64x5, LSTM 2x128, dense 64, sigmoid", SIMPLE_TFT),
        "M3": lambda: _tft("M3", family_nets.Tft, work),
        "M3 stacked": lambda: _tft("M3 stacked", family_nets.StackedTft, work),
        "M4": lambda: _xtrend("M4", family_nets.Xtrend, work),
        "M4 stacked": lambda: _xtrend("M4 stacked", family_nets.StackedXtrend, work),
        "LSTM_A": lambda: _fixture("LSTM_A", "50x100, LSTM 2x100, linear", LSTM_A),
        "LSTM_B": lambda: _lstm("LSTM_B", "100x250, LSTM 3x200, linear", LSTM_B, work),
        "LSTM_C": lambda: _lstm("LSTM_C", "100x500, LSTM 4x1000, linear", LSTM_C, work),
    }


def empty_case(like: Case) -> Case:
    """The empty net on the windows of another case."""
    answer = like.windows[:, -1, :1].astype(np.float64)
    return Case("empty", "picks one number", like.folder, Empty(), like.windows, {"f32": answer}, {"f32": 0.0}, "")


def _fixture(id_: str, shape: str, spec: Spec) -> Case:
    manifest = tomllib.loads((FIXTURES / "MANIFEST.toml").read_text(encoding="utf-8"))["files"]
    folder = FIXTURES / "nets" / spec.name
    module = LstmNet(spec).eval().requires_grad_(False)
    module.load_state_dict(load_file(folder / "weights.safetensors"))
    golden = dict(np.load(folder / "golden.npz"))
    exact = golden["output_f64"]
    return Case(
        id=id_,
        shape=shape,
        folder=folder,
        module=module,
        windows=golden["input"],
        expected={"f32": exact, "bf16": golden["output_bf16_weights"], "i16": exact},
        tolerance=manifest[f"nets/{spec.name}/golden.npz"]["tolerance"] | {"i16": I16_SHARE * _size(exact)},
        weights_sha256=manifest[f"nets/{spec.name}/weights.safetensors"]["sha256"],
    )


def _tft(id_: str, kind: type, work: Path) -> Case:
    plain = family_nets.seeded(family_nets.Tft(), 3001)
    windows = np.random.default_rng(3).standard_normal((N_WINDOWS, 120, 14)).astype(np.float32)
    folder = _folder(work / "m3", plain.state_dict(), family_nets.description(family_nets.M3))
    form = "stacked" if kind is family_nets.StackedTft else "one network per variable"
    shape = f"120x14, TFT, H 128, 4 heads, 3 classes + 3 quantiles; peers: {form}"
    return _seeded(id_, shape, folder, _like(plain, kind).freeze(), _like(plain, family_nets.Tft).double().freeze(), windows)


def _xtrend(id_: str, kind: type, work: Path) -> Case:
    plain = family_nets.seeded(family_nets.Xtrend(), 4001)
    rng = np.random.default_rng(4)
    windows = rng.standard_normal((N_WINDOWS, 63, 73)).astype(np.float32)
    windows[..., -1] = rng.integers(0, family_nets.M4.n_entities, (N_WINDOWS, 1))
    contexts = torch.from_numpy(rng.standard_normal((16, 63, 72)).astype(np.float32))
    entities = torch.arange(16) % family_nets.M4.n_entities
    stored = plain.state_dict() | {"contexts.input": contexts, "contexts.entity": entities.float()}
    folder = _folder(work / "m4", stored, family_nets.description(family_nets.M4))
    exact = _like(plain, family_nets.Xtrend).double().freeze(contexts.double(), entities)
    form = "stacked" if kind is family_nets.StackedXtrend else "one network per feature"
    shape = f"63x72, X-Trend, H 64, 16 contexts encoded before; peers: {form}"
    return _seeded(id_, shape, folder, _like(plain, kind).freeze(contexts, entities), exact, windows)


def _like(plain: torch.nn.Module, kind: type) -> torch.nn.Module:
    """The same weights in another class."""
    module = kind()
    module.load_state_dict(plain.state_dict())
    return module.eval().requires_grad_(False)


def _lstm(id_: str, shape: str, spec: Spec, work: Path) -> Case:
    module = seeded(spec)
    windows = np.random.default_rng(5).standard_normal((N_WINDOWS, spec.lookback, spec.n_features)).astype(np.float32)
    folder = _folder(work / spec.name, module.state_dict(), _description(spec))
    rounded = copy.deepcopy(module).double()
    for tensor in rounded.state_dict().values():
        if tensor.dim() == 2:
            tensor.copy_(tensor.to(torch.bfloat16))
    return _seeded(id_, shape, folder, module, copy.deepcopy(module).double(), windows, rounded)


def _description(spec: Spec) -> dict:
    """What `tickfuse import torch --config` has to be told of an LSTM: inputs unscaled, one linear output."""
    return {
        "name": spec.name,
        "family": "lstm",
        "lookback": spec.lookback,
        "n_hidden": spec.n_hidden,
        "n_layers": spec.n_layers,
        "head": [{"prefix": dense.prefix, "activation": dense.activation} for dense in spec.head],
        "inputs": [{"name": name, "scaler": {"center": 0.0, "scale": 1.0}} for name in spec.features],
        "outputs": [{"name": spec.output, "kind": spec.kind, "labels": list(spec.labels), "unit": spec.unit}],
    }


def _toml(value: object) -> str:
    """A value on one line; keys without a value are left out."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items() if item is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)


def _folder(folder: Path, tensors: dict[str, torch.Tensor], about: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "weights.safetensors")
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in about.items())
    (folder / "net.toml").write_text(text, encoding="utf-8")
    return folder


def _seeded(id_, shape, folder, module, exact, windows, rounded=None) -> Case:
    expected = {"f32": _answers(exact, windows)}
    expected["bf16"] = expected["f32"] if rounded is None else _answers(rounded, windows)
    expected["i16"] = expected["f32"]
    size = _size(expected["f32"])
    apart = float(np.abs(expected["bf16"] - expected["f32"]).max())
    return Case(
        id=id_,
        shape=shape,
        folder=folder,
        module=module,
        windows=windows,
        expected=expected,
        tolerance={"f32": F32_SHARE * size, "bf16_products": BF16_SHARE * size, "bf16_to_f64": apart, "i16": I16_SHARE * size},
        weights_sha256=sha256((folder / "weights.safetensors").read_bytes()).hexdigest(),
    )


def _size(answers: np.ndarray) -> float:
    """What shares are taken of: the largest answer, 1 at least."""
    return max(1.0, float(np.abs(answers).max()))


def _answers(module: torch.nn.Module, windows: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.concatenate([module(torch.from_numpy(window[None]).double()).numpy() for window in windows])
