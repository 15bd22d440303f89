"""The Transformer nets of the comparison: M3, a TFT of the paper's form, and M4, an X-Trend whose contexts were encoded before.

Both are the modules that made the fixtures (fixtures/make), cut to what serving needs: the last step alone is a query and is answered,
and nothing that depends on the contexts or on the absent static variables alone is computed again. Two forms of each:

    plain     one small network per variable, as libraries write it
    stacked   the networks of all variables as one batched product per layer: the same numbers; batch 1

The stacked form is the one of several (four axes, grouped convolutions) that OpenVINO, the fastest peer here, runs fastest.

Tensor names are those of Tickfuse's plain tensors; `description` is what `tickfuse import torch` has to be told beside them.
"""

import math
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures" / "make"))
from blocks import GOOGLE, Grn, Variable, silent  # noqa: E402  (the path is set just above)
from nets_tft_google import TftNet, TftSpec  # noqa: E402
from nets_xtrend import SIGMA_FLOOR, XtrendSpec  # noqa: E402
from nets_xtrend_shared import OneLayerGrn, SharedXtrendNet  # noqa: E402

GAIN = 1.8
N_CLASSES = 3
LEVELS = (0.1, 0.5, 0.9)
STATIC_USES = ("variable_selection", "initial_hidden_lstm", "initial_cell_lstm", "enrichment")
REALS = [Variable(f"x{j:02d}", 128) for j in range(14)]
M3 = TftSpec("m3", 120, 0, 128, 4, 1, N_CLASSES + len(LEVELS), [], REALS, [], [v.name for v in REALS], GOOGLE)
M4 = XtrendSpec("m4", "gaussian", "shared", 63, 63, n_contexts=16, n_hidden=64, n_heads=4, n_entities=20, n_features=72)


class Tft(TftNet):
    """M3: windows [1, 120, 14] to [1, 6], three probabilities and three quantiles."""

    def __init__(self, spec: TftSpec = M3):
        super().__init__(spec)

    def freeze(self) -> "Tft":
        """Computes what the zeros that stand for static variables lead to."""
        zeros = torch.zeros_like(self.output_layer.weight[:1])
        for use in STATIC_USES:
            self.register_buffer(use, getattr(self, f"static_context_{use}")(zeros), persistent=False)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c_s, h, c, c_e = (getattr(self, use) for use in STATIC_USES)
        selected = self.select(x, c_s)
        steps, _ = self.lstm_encoder(selected, (h.unsqueeze(0), c.unsqueeze(0)))
        local = self.post_lstm_add_norm_encoder(self.post_lstm_gate_encoder(steps), selected)
        enriched = self.static_enrichment(local, c_e.unsqueeze(1))
        seen = torch.ones(1, x.shape[1], dtype=torch.bool)
        attended = self.multihead_attn(enriched[:, -1:], enriched, seen)
        b = self.post_attn_gate_norm(attended, enriched[:, -1:])
        z = self.output_layer(self.pre_output_gate_norm(self.pos_wise_ff(b), local[:, -1:]))[:, 0]
        return torch.cat([torch.softmax(z[:, :N_CLASSES], dim=-1), z[:, N_CLASSES:]], dim=-1)

    def select(self, x: torch.Tensor, c_s: torch.Tensor) -> torch.Tensor:
        """The selected variables of every step."""
        return self.encoder_variable_selection(self._embedded(self.spec.encoder, x), c_s.unsqueeze(1), silent)


class StackedTft(Tft):
    """The same with the variables' networks in one batched product per layer."""

    def freeze(self) -> "StackedTft":
        super().freeze()
        names = [v.name for v in self.spec.encoder]
        embeddings = [self.prescalers[name] for name in names]
        grns: list[Grn] = [self.encoder_variable_selection.single_variable_grns[name] for name in names]
        self.embedding = nn.ParameterList(stacked_lines(embeddings))
        self.fc1, self.fc2 = Stack(g.fc1 for g in grns), Stack(g.fc2 for g in grns)
        self.glu = Stack(g.gate_norm.glu.fc for g in grns)
        self.norm = StackedNorm([g.gate_norm.add_norm.norm for g in grns])
        return self

    def select(self, x: torch.Tensor, c_s: torch.Tensor) -> torch.Tensor:
        weight, bias = self.embedding
        embedded = x[0].T.unsqueeze(-1) * weight + bias  # [V, T, H]
        flat = embedded.transpose(0, 1).flatten(1)
        weights = torch.softmax(self.encoder_variable_selection.flattened_grn(flat[None], c_s.unsqueeze(1)), dim=-1)
        value, gate = self.glu(self.fc2(nn.functional.elu(self.fc1(embedded)))).chunk(2, dim=-1)
        return weighted(weights, self.norm(value * torch.sigmoid(gate) + embedded))


class Xtrend(SharedXtrendNet):
    """M4: windows [n, 63, 73], the last column the entity's code, to [n, 3]: position, mean, deviation."""

    def __init__(self, spec: XtrendSpec = M4):
        super().__init__(spec)

    def freeze(self, contexts: torch.Tensor, entities: torch.Tensor) -> "Xtrend":
        """Encodes contexts [16, 63, 72] of `entities` [16] and keeps the heads' keys and values [heads, 16, d]."""
        attention = self.cross_attn
        states = self._encoded(contexts, entities, silent)[:, -1]
        mixed, _ = attention.self_attn(states[None], states[None], states[None])
        values = attention.norm1(states + mixed[0])
        _, k, v = attention.cross_attn.in_proj_weight.chunk(3)
        _, k_bias, v_bias = attention.cross_attn.in_proj_bias.chunk(3)
        self.register_buffer("keys", self._heads(states @ k.T + k_bias), persistent=False)
        self.register_buffer("values", self._heads(values @ v.T + v_bias), persistent=False)
        return self

    def _heads(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(1, (self.spec.n_heads, -1)).transpose(0, 1).contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        emb = self.entity_embed.embedding(x[:, 0, -1].long())
        state = [proj(emb).unsqueeze(0) for proj in (self.h0_proj, self.c0_proj)]
        steps, _ = self.lstm(self.select(x[..., : self.spec.n_features], emb), (state[0], state[1]))
        query = self.lstm_norm(steps[:, -1])
        y = self.cross_attn.norm2(query + self._attended(query))
        u = self.decoder["3"](nn.functional.elu(self.decoder["0"](torch.cat([query, y], dim=-1))))
        mu, sigma = self.gaussian_mu(u), torch.exp(self.gaussian_log_sigma(u)).clamp(min=SIGMA_FLOOR)
        return torch.cat([torch.erf(mu / (sigma * math.sqrt(2.0))), mu, sigma], dim=-1)

    def _attended(self, query: torch.Tensor) -> torch.Tensor:
        attention = self.cross_attn.cross_attn
        d = self.spec.n_hidden
        q = nn.functional.linear(query, attention.in_proj_weight[:d], attention.in_proj_bias[:d])
        q = q.unflatten(1, (self.spec.n_heads, 1, -1))
        weights = torch.softmax(q @ self.keys.transpose(1, 2) / math.sqrt(d // self.spec.n_heads), dim=-1)
        return attention.out_proj((weights @ self.values).flatten(1))

    def select(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """The selected features of every step."""
        return self.vsn(x, emb, silent)


class StackedXtrend(Xtrend):
    """The same with the features' networks in one batched product per layer."""

    def freeze(self, contexts: torch.Tensor, entities: torch.Tensor) -> "StackedXtrend":
        super().freeze(contexts, entities)
        grns: list[OneLayerGrn] = list(self.vsn.feature_grns)
        self.fc1 = nn.ParameterList(stacked_lines([g.fc1 for g in grns]))
        self.skip = nn.ParameterList(stacked_lines([g.skip for g in grns]))
        self.fc2 = Stack(g.fc2 for g in grns)
        self.norm = StackedNorm([g.layer_norm for g in grns])
        return self

    def select(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.vsn.weight_grn(x, emb.unsqueeze(1)), dim=-1)
        column = x[0].T.unsqueeze(-1)  # [F, T, 1]
        value, gate = self.fc2(nn.functional.elu(column * self.fc1[0] + self.fc1[1])).chunk(2, dim=-1)
        return weighted(weights, self.norm(column * self.skip[0] + self.skip[1] + value * torch.sigmoid(gate)))


class Stack(nn.Module):
    """Linear layers of one shape side by side: [V, T, n_in] to [V, T, n_out]."""

    def __init__(self, layers):
        super().__init__()
        layers = list(layers)
        self.weight = nn.Parameter(torch.stack([layer.weight.T for layer in layers]).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(torch.stack([layer.bias for layer in layers]).unsqueeze(1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class StackedNorm(nn.Module):
    """Layer norms side by side."""

    def __init__(self, norms: list[nn.LayerNorm]):
        super().__init__()
        self.shape, self.eps = norms[0].normalized_shape, norms[0].eps
        self.gain = nn.Parameter(torch.stack([norm.weight for norm in norms]).unsqueeze(1), requires_grad=False)
        self.shift = nn.Parameter(torch.stack([norm.bias for norm in norms]).unsqueeze(1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.layer_norm(x, self.shape, eps=self.eps) * self.gain + self.shift


def weighted(weights: torch.Tensor, branches: torch.Tensor) -> torch.Tensor:
    """Weights [1, T, V] and branches [V, T, H] to their sums [1, T, H]."""
    return torch.bmm(weights[0].unsqueeze(1), branches.transpose(0, 1)).transpose(0, 1)


def stacked_lines(layers: list[nn.Linear]) -> list[nn.Parameter]:
    """`Linear(1 -> H)` layers as two tensors [V, 1, H]."""
    weight = torch.stack([layer.weight[:, 0] for layer in layers]).unsqueeze(1)
    bias = torch.stack([layer.bias for layer in layers]).unsqueeze(1)
    return [nn.Parameter(t, requires_grad=False) for t in (weight, bias)]


def seeded(module: nn.Module, seed: int) -> nn.Module:
    """PyTorch's default start times a gain that spreads the answers, the norms moved off ones and zeros; the same on every run."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("norm.weight") or ".norm1.weight" in name or ".norm2.weight" in name:
            tensor.copy_(1.0 + 0.2 * torch.randn(tensor.shape, generator=generator))
        else:
            bound = GAIN / math.sqrt(tensor.shape[-1] if tensor.dim() > 1 else module.spec.n_hidden)
            tensor.copy_((2.0 * torch.rand(tensor.shape, generator=generator) - 1.0) * bound)
    return module.eval().requires_grad_(False)


def description(spec: TftSpec | XtrendSpec) -> dict:
    """Net, inputs and outputs in the words of a model file, as net.toml wants them."""
    outputs = _tft_outputs() if isinstance(spec, TftSpec) else _xtrend_outputs()
    return {"name": spec.name, "net": spec.config(), "inputs": [_input(column) for column in spec.inputs()], "outputs": outputs}


def _input(column: dict) -> dict:
    about = {"name": column["name"], "role": column["role"]}
    if column["n_categories"] is None:
        return about | {"scaler": {"center": 0.0, "scale": 1.0}}
    return about | {"categories": {"labels": [f"c{code}" for code in range(column["n_categories"])]}}


def _tft_outputs() -> list[dict]:
    classes = {"name": "direction", "kind": "softmax", "labels": ["down", "flat", "up"], "unit": "probability"}
    labels = [f"q{level}" for level in LEVELS]
    return [classes, {"name": "move", "kind": "quantiles", "labels": labels, "levels": list(LEVELS), "unit": "return"}]


def _xtrend_outputs() -> list[dict]:
    position = {"name": "position", "kind": "linear", "labels": ["position"], "unit": "share"}
    return [position, {"name": "move", "kind": "gaussian_log_sigma", "labels": ["mu", "sigma"], "unit": "return"}]
