"""Writes a TemporalFusionTransformer checkpoint of pytorch-forecasting as safetensors and JSON, without any pickle in it.

    python -m tickfuse.export_pytorch_forecasting --checkpoint model.ckpt --output exported

Needs torch, safetensors and pytorch-forecasting, since unpickling a checkpoint runs its classes: export only checkpoints
you trust. Nothing else of the tickfuse package is used.

`weights.safetensors` holds every tensor once, f32, under its state-dict name; the layers of several targets are joined to
one `output_layer`. `model.json` has the sections

    net               sizes, the variables of the three selection networks in the network's order, the rules of the variant
    hyper_parameters  what the library stored about the network
    loss              class, quantiles, weights; several targets: one entry per target under `metrics`
    preprocessing     columns, normalisers, scalers and category codes as plain numbers, see `preprocessing`
    dropped_aliases   {dropped name: kept name}
    checkpoint        epoch, step and Lightning's version

A checkpoint that this form cannot describe exactly is refused: functions as transforms, unknown losses or scalers, aliases
with different values, tensors that are missing, left over or of another shape.
"""

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

POINT_LOSSES = ("MAE", "RMSE", "SMAPE", "MAPE", "CrossEntropy")
SELECTIONS = ("static_variable_selection", "encoder_variable_selection", "decoder_variable_selection")
CONTEXTS = ("variable_selection", "initial_hidden_lstm", "initial_cell_lstm", "enrichment")
NORM_EPS = 1e-5
HYPER_PARAMETERS = (
    *("hidden_size", "lstm_layers", "attention_head_size", "output_size", "max_encoder_length"),
    *("hidden_continuous_size", "hidden_continuous_sizes"),
    *("causal_attention", "mask_bias", "share_single_variable_networks"),
    *("static_categoricals", "static_reals"),
    *("time_varying_categoricals_encoder", "time_varying_reals_encoder"),
    *("time_varying_categoricals_decoder", "time_varying_reals_decoder"),
    *("x_categoricals", "x_reals", "categorical_groups", "embedding_sizes", "embedding_paddings"),
)
# What checkpoints from before these parameters did.
OLDER_DEFAULTS = {"causal_attention": True, "mask_bias": -1e9, "share_single_variable_networks": False}
DATASET_FLAGS = (
    *("time_idx", "target", "max_encoder_length", "min_encoder_length"),
    *("max_prediction_length", "min_prediction_length", "min_prediction_idx"),
    *("add_relative_time_idx", "add_encoder_length", "add_target_scales", "allow_missing_timesteps"),
)


class Refused(Exception):
    """The checkpoint holds something that the exported form cannot say."""


def export(checkpoint: Path, output: Path) -> dict[str, Any]:
    """Writes both files into `output`, which is created, and returns what `model.json` holds."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=False)
    tensors, model = describe(stored)
    output.mkdir(parents=True, exist_ok=True)
    save_file(tensors, output / "weights.safetensors")
    (output / "model.json").write_text(json.dumps(model, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return model


def describe(stored: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Plain tensors and the content of `model.json` of a loaded checkpoint."""
    hyper = OLDER_DEFAULTS | stored["hyper_parameters"]
    dataset = stored.get("dataset_parameters")
    if dataset is None:
        raise Refused("dataset_parameters: expected what TemporalFusionTransformer.from_dataset stores, found none")
    tensors, aliases = plain_tensors(stored["state_dict"])
    net = network(hyper, dataset, tensors)
    _check_shapes(expected_shapes(net), tensors)
    model = {
        "net": net,
        "hyper_parameters": {name: _plain(name, hyper[name]) for name in HYPER_PARAMETERS},
        "loss": loss(hyper["loss"]),
        "preprocessing": preprocessing(hyper, dataset),
        "dropped_aliases": aliases,
        "checkpoint": {
            "epoch": stored["epoch"],
            "global_step": stored["global_step"],
            "lightning": stored["pytorch-lightning_version"],
        },
    }
    return tensors, model


# Tensors


def plain_tensors(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Every tensor once, sorted by name, and the aliases that were left out."""
    kept, aliases = {}, {}
    for name, tensor in state.items():
        plain = _kept_name(name, state)
        if plain == name:
            kept[name] = tensor.detach().float().contiguous().clone()
            continue
        if plain not in state or not torch.equal(state[plain], tensor):
            raise Refused(f"{name}: expected the values of {plain}, of which it is an alias, found others")
        aliases[name] = plain
    return dict(sorted(_joined_output(kept).items())), dict(sorted(aliases.items()))


def _kept_name(name: str, state: dict[str, torch.Tensor]) -> str:
    selection, _, rest = name.partition(".")
    if selection in SELECTIONS and rest.startswith("prescalers."):
        return rest
    if selection in SELECTIONS and rest.startswith("single_variable_grns."):
        variable = rest.split(".")[1]
        is_shared = any(other.startswith(f"shared_single_variable_grns.{variable}.") for other in state)
        return f"shared_{rest}" if is_shared and selection != SELECTIONS[0] else name
    return re.sub(r"^(post_lstm_(?:gate|add_norm))_decoder\.", r"\1_encoder.", name)


def _joined_output(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`output_layer.0.weight`, `output_layer.1.weight`, ... one below the other as `output_layer.weight`."""
    n_targets = sum(re.fullmatch(r"output_layer\.\d+\.weight", name) is not None for name in tensors)
    if n_targets == 0:
        return tensors
    joined = {
        f"output_layer.{part}": torch.cat([tensors.pop(f"output_layer.{i}.{part}") for i in range(n_targets)])
        for part in ("weight", "bias")
    }
    return tensors | joined


# The network


def network(hyper: dict[str, Any], dataset: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Sizes, variables and rules; widths are those of the tensors, since stored embedding sizes are not yet capped."""
    static = [*hyper["static_categoricals"], *hyper["static_reals"]]
    encoder = [*hyper["time_varying_categoricals_encoder"], *hyper["time_varying_reals_encoder"]]
    decoder = [*hyper["time_varying_categoricals_decoder"], *hyper["time_varying_reals_decoder"]]
    return {
        "family": "tft",
        "lookback": int(hyper["max_encoder_length"]),
        "n_ahead": int(dataset["max_prediction_length"]),
        "n_hidden": int(hyper["hidden_size"]),
        "n_heads": int(hyper["attention_head_size"]),
        "n_layers": int(hyper["lstm_layers"]),
        "static_variables": [_variable(name, hyper, tensors) for name in static],
        "encoder_variables": [_variable(name, hyper, tensors) for name in encoder],
        "decoder_variables": [_variable(name, hyper, tensors) for name in decoder],
        "rules": {
            "skip": "resample",
            "norm_eps": NORM_EPS,
            "mask": "causal_strict" if hyper["causal_attention"] else "open",
            "attention_bias": True,
            "categorical_branch": "resample_norm",
            "weight_hidden": "min_hidden_variables",
            "share_variable_networks": bool(hyper["share_single_variable_networks"]),
            "empty_encoder": "correct",
        },
        "n_outputs": tensors["output_layer.weight"].shape[0],
    }


def _variable(name: str, hyper: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    members = hyper["categorical_groups"].get(name)
    table = tensors.get(f"input_embeddings.embeddings.{name}.weight")
    prescaler = tensors.get(f"prescalers.{name}.weight")
    widest = table if table is not None else prescaler
    if widest is None:
        raise Refused(f"variable {name}: expected an embedding or a prescaler, found neither")
    return {
        "name": name,
        "columns": list(members) if members else [name],
        "width": widest.shape[0] if table is None else widest.shape[1],
        "n_categories": None if table is None else table.shape[0],
        "padding": name in hyper["embedding_paddings"] and not members,
        "table": name if members else None,
    }


def expected_shapes(net: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a network of these sizes has."""
    hidden, heads = net["n_hidden"], net["n_heads"]
    inputs = [net[f"{kind}_variables"] for kind in ("static", "encoder", "decoder")]
    shapes = {}
    for variable in sum(inputs, []):
        shapes |= _input_shapes(variable)
    for selection, variables in zip(SELECTIONS, inputs, strict=True):
        shapes |= _selection_shapes(selection, variables, net)
    for context in CONTEXTS:
        shapes |= _grn(f"static_context_{context}", hidden, hidden, hidden)
    for lstm in ("lstm_encoder", "lstm_decoder"):
        for k in range(net["n_layers"]):
            shapes |= {f"{lstm}.weight_{part}_l{k}": (4 * hidden, hidden) for part in ("ih", "hh")}
            shapes |= {f"{lstm}.bias_{part}_l{k}": (4 * hidden,) for part in ("ih", "hh")}
    shapes |= _linear("post_lstm_gate_encoder.fc", hidden, 2 * hidden) | _norm("post_lstm_add_norm_encoder.norm", hidden)
    shapes |= _grn("static_enrichment", hidden, hidden, hidden, context=hidden)
    projections = ["v_layer", *(f"{kind}_layers.{i}" for kind in "qk" for i in range(heads))]
    for projection in projections:
        shapes |= _linear(f"multihead_attn.{projection}", hidden, hidden // heads)
    shapes["multihead_attn.w_h.weight"] = (hidden, hidden // heads)
    shapes |= _gate("post_attn_gate_norm", hidden, hidden) | _grn("pos_wise_ff", hidden, hidden, hidden)
    return shapes | _gate("pre_output_gate_norm", hidden, hidden) | _linear("output_layer", hidden, net["n_outputs"])


def _input_shapes(variable: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    if variable["n_categories"] is None:
        return _linear(f"prescalers.{variable['name']}", 1, variable["width"])
    return {f"input_embeddings.embeddings.{variable['name']}.weight": (variable["n_categories"], variable["width"])}


def _selection_shapes(selection: str, variables: list[dict[str, Any]], net: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, n = net["n_hidden"], len(variables)
    is_static = selection == SELECTIONS[0]
    is_shared = net["rules"]["share_variable_networks"] and not is_static
    shapes = {}
    if n > 1:
        flat = sum(variable["width"] for variable in variables)
        shapes = _grn(f"{selection}.flattened_grn", flat, min(hidden, n), n, context=None if is_static else hidden)
    for variable in variables:
        prefix = f"shared_single_variable_grns.{variable['name']}" if is_shared else ""
        prefix = prefix or f"{selection}.single_variable_grns.{variable['name']}"
        if variable["n_categories"] is not None and not is_shared:
            shapes |= _norm(f"{prefix}.norm", hidden) | {f"{prefix}.mask": (hidden,)}
        else:
            shapes |= _grn(prefix, variable["width"], min(variable["width"], hidden), hidden)
    return shapes


def _grn(prefix: str, d_in: int, d_hidden: int, d_out: int, context: int | None = None) -> dict[str, tuple[int, ...]]:
    shapes = _linear(f"{prefix}.fc1", d_in, d_hidden) | _linear(f"{prefix}.fc2", d_hidden, d_hidden)
    shapes |= _gate(f"{prefix}.gate_norm", d_hidden, d_out)
    if context is not None:
        shapes[f"{prefix}.context.weight"] = (d_hidden, context)
    if d_in != d_out:
        shapes |= _norm(f"{prefix}.resample_norm.norm", d_out) | {f"{prefix}.resample_norm.mask": (d_out,)}
    return shapes


def _gate(prefix: str, d_in: int, d_out: int) -> dict[str, tuple[int, ...]]:
    return _linear(f"{prefix}.glu.fc", d_in, 2 * d_out) | _norm(f"{prefix}.add_norm.norm", d_out)


def _linear(prefix: str, d_in: int, d_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": (d_out, d_in), f"{prefix}.bias": (d_out,)}


def _norm(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def _check_shapes(expected: dict[str, tuple[int, ...]], tensors: dict[str, torch.Tensor]) -> None:
    for name in sorted(expected.keys() | tensors.keys()):
        wanted = expected.get(name)
        found = tuple(tensors[name].shape) if name in tensors else None
        if wanted != found:
            raise Refused(f"tensor {name}: expected shape {wanted or 'none'}, found {found or 'none'}")


# Losses and preprocessing


def loss(metric: Any) -> dict[str, Any]:
    """Class and parameters of the loss, which also say how its outputs are read."""
    name = type(metric).__name__
    if name == "MultiLoss":
        return {"class": name, "weights": [float(w) for w in metric.weights], "metrics": [loss(m) for m in metric.metrics]}
    if name == "QuantileLoss":
        return {"class": name, "quantiles": [float(q) for q in metric.quantiles]}
    if name not in POINT_LOSSES:
        raise Refused(f"loss: expected QuantileLoss, MultiLoss or one of {', '.join(POINT_LOSSES)}, found {name}")
    return {"class": name}


def preprocessing(hyper: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """How raw columns become the input tensors, and outputs become answers.

    `reals` and `categoricals` are the tensors' columns in order. A value x of column c enters as (x - center) / scale of
    `scalers[c]` (null: as it is), a target through `normalizers`: ((forward transform of x) - center) / scale. A table's
    `key` has one entry per group: an integer is the category's code, a text its label. `encoders[c]` gives the code of each
    label; the label null stands for missing and unknown ones. `group_encoders` are those of the series' own keys, whose
    codes the library uses to look up the center and scale of an answer. `bags` names the columns that share an encoder.
    """
    if dataset.get("lags"):
        raise Refused(f"lags: expected none, found {dataset['lags']}")
    targets = [dataset["target"]] if isinstance(dataset["target"], str) else list(dataset["target"])
    normalizers = getattr(hyper["output_transformer"], "normalizers", [hyper["output_transformer"]])
    encoders = {name: _encoder(encoder) for name, encoder in dataset["categorical_encoders"].items()}
    return {
        "reals": list(hyper["x_reals"]),
        "categoricals": list(hyper["x_categoricals"]),
        "bags": {name: list(members) for name, members in hyper["categorical_groups"].items()},
        "group_ids": list(dataset["group_ids"]),
        **{name: _plain(name, dataset[name]) for name in DATASET_FLAGS},
        "normalizers": {t: _normalizer(t, normalizer) for t, normalizer in zip(targets, normalizers, strict=True)},
        "scalers": {name: _scaler(name, scaler) for name, scaler in dataset["scalers"].items()},
        "encoders": {name: encoder for name, encoder in encoders.items() if not name.startswith("__group_id__")},
        "group_encoders": {name: encoders[f"__group_id__{name}"] for name in dataset["group_ids"]},
        "constant_fill": {name: _plain(name, value) for name, value in (dataset["constant_fill_strategy"] or {}).items()},
    }


def _encoder(encoder: Any) -> dict[str, Any]:
    """Codes in ascending order; code 0 is the label null where the encoder reserves it."""
    classes = [
        {"label": None if encoder.add_nan and code == 0 else _plain("category", label), "code": int(code)}
        for label, code in encoder.classes_.items()
    ]
    return {"class": type(encoder).__name__, "add_nan": bool(encoder.add_nan), "classes": classes}


def _scaler(name: str, scaler: Any) -> dict[str, Any] | None:
    kind = type(scaler).__name__
    if scaler is None:
        return None
    if kind in ("GroupNormalizer", "EncoderNormalizer", "TorchNormalizer"):
        return _normalizer(name, scaler)
    if kind not in ("StandardScaler", "RobustScaler"):
        raise Refused(f"scaler of {name}: expected StandardScaler, RobustScaler, a normaliser or none, found {kind}")
    center = scaler.center_ if kind == "RobustScaler" else scaler.mean_
    if kind == "StandardScaler" and not scaler.with_mean:
        center = None  # fitted, but not subtracted
    return {
        "class": kind,
        "center": 0.0 if center is None else float(center[0]),
        "scale": 1.0 if scaler.scale_ is None else float(scaler.scale_[0]),
    }


def _normalizer(name: str, normalizer: Any) -> dict[str, Any]:
    """Method, transform and the numbers fitted; `epsilon` is what was (or, per window, will be) added to each scale."""
    kind = type(normalizer).__name__
    if kind == "NaNLabelEncoder":
        return _encoder(normalizer)
    if not (normalizer.transformation is None or isinstance(normalizer.transformation, str)):
        raise Refused(f"normaliser of {name}: expected a transform known by name, found functions")
    plain = {
        "class": kind,
        "method": normalizer.method,
        "center": bool(normalizer.center),
        "transformation": normalizer.transformation,
        "method_kwargs": _plain(name, normalizer.method_kwargs or {}),
        "epsilon": float(np.finfo(np.float16).eps),
    }
    if kind == "GroupNormalizer":
        return plain | _group_tables(normalizer)
    if kind == "EncoderNormalizer":
        return plain | {"epsilon": float(np.finfo(np.float32).eps), "max_length": _plain(name, normalizer.max_length)}
    if kind == "TorchNormalizer":
        return plain | {"fitted": {"center": float(normalizer.center_), "scale": float(normalizer.scale_)}}
    raise Refused(f"normaliser of {name}: expected a Group-, Encoder- or TorchNormalizer, found {kind}")


def _group_tables(normalizer: Any) -> dict[str, Any]:
    """One table of all groups together, one per group with `scale_by_group`, or one pair of numbers without groups."""
    groups = list(normalizer.groups or [])
    plain = {"groups": groups, "scale_by_group": bool(normalizer.scale_by_group)}
    if not groups:
        return plain | {"fitted": {part: float(normalizer.norm_[part]) for part in ("center", "scale")}}
    if normalizer.scale_by_group:
        tables = [{"table": _table(normalizer.norm_[g]), "missing": _floats(normalizer.missing_[g])} for g in groups]
        return plain | {"tables": dict(zip(groups, tables, strict=True))}
    return plain | {"table": _table(normalizer.norm_), "missing": _floats(normalizer.missing_)}


def _table(norm: Any) -> list[dict[str, Any]]:
    keys = [key if isinstance(key, tuple) else (key,) for key in norm.index]
    rows = zip(keys, norm["center"], norm["scale"], strict=True)
    return [{"key": _plain("group", list(key)), "center": float(c), "scale": float(s)} for key, c, s in rows]


def _floats(pair: dict[str, Any]) -> dict[str, float]:
    return {part: float(value) for part, value in pair.items()}


def _plain(name: str, value: Any) -> Any:
    """The value in JSON's types."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {str(key): _plain(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "-inf" if value < 0 else "inf"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Refused(f"{name}: expected a number, a text or a list of them, found {type(value).__name__}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="file written by Lightning")
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    args = parser.parse_args()
    try:
        model = export(args.checkpoint, args.output)
    except Refused as reason:
        raise SystemExit(f"{args.checkpoint}: {reason}") from reason
    net = model["net"]
    print(f"{args.output}: {net['lookback']} + {net['n_ahead']} steps, hidden {net['n_hidden']}, {net['n_outputs']} outputs")


if __name__ == "__main__":
    main()
