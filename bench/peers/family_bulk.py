"""The Transformer nets of the comparison for several windows at once: the same weights and answers, batches of any size."""

import torch
from family_nets import STATIC_USES, StackedTft, StackedXtrend, Tft
from torch import nn


def batched(module: nn.Module) -> nn.Module:
    """The module as it is, or in a class that takes batches where its own takes one window."""
    kinds = {Tft: BatchedTft, StackedTft: BatchedStackedTft, StackedXtrend: BatchedStackedXtrend}
    kind = kinds.get(type(module))
    if kind is not None:
        module.__class__ = kind
    return module


class BatchedTft(Tft):
    """M3: the state before the first step is the same in every window."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c_s, h, c, c_e = (getattr(self, use) for use in STATIC_USES)
        n = x.shape[0]
        selected = self.select(x, c_s)
        state = (h.expand(n, -1).unsqueeze(0).contiguous(), c.expand(n, -1).unsqueeze(0).contiguous())
        steps, _ = self.lstm_encoder(selected, state)
        local = self.post_lstm_add_norm_encoder(self.post_lstm_gate_encoder(steps), selected)
        enriched = self.static_enrichment(local, c_e.unsqueeze(1))
        seen = torch.ones(1, x.shape[1], dtype=torch.bool)
        attended = self.multihead_attn(enriched[:, -1:], enriched, seen)
        b = self.post_attn_gate_norm(attended, enriched[:, -1:])
        z = self.output_layer(self.pre_output_gate_norm(self.pos_wise_ff(b), local[:, -1:]))[:, 0]
        return torch.cat([torch.softmax(z[:, :3], dim=-1), z[:, 3:]], dim=-1)


class BatchedStackedTft(BatchedTft, StackedTft):
    """The stacked form over the rows of all windows."""

    def select(self, x: torch.Tensor, c_s: torch.Tensor) -> torch.Tensor:
        n, steps = x.shape[:2]
        weight, bias = self.embedding
        embedded = x.flatten(0, 1).T.unsqueeze(-1) * weight + bias  # [V, n T, H]
        flat = embedded.transpose(0, 1).reshape(n, steps, -1)
        weights = torch.softmax(self.encoder_variable_selection.flattened_grn(flat, c_s.unsqueeze(1)), dim=-1)
        value, gate = self.glu(self.fc2(nn.functional.elu(self.fc1(embedded)))).chunk(2, dim=-1)
        return weighted(weights, self.norm(value * torch.sigmoid(gate) + embedded))


class BatchedStackedXtrend(StackedXtrend):
    """The stacked form over the rows of all windows."""

    def select(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.vsn.weight_grn(x, emb.unsqueeze(1)), dim=-1)
        column = x.flatten(0, 1).T.unsqueeze(-1)  # [F, n T, 1]
        value, gate = self.fc2(nn.functional.elu(column * self.fc1[0] + self.fc1[1])).chunk(2, dim=-1)
        return weighted(weights, self.norm(column * self.skip[0] + self.skip[1] + value * torch.sigmoid(gate)))


def weighted(weights: torch.Tensor, branches: torch.Tensor) -> torch.Tensor:
    """Weights [n, T, V] and branches [V, n T, H] to their sums [n, T, H]."""
    n, steps, _ = weights.shape
    sums = torch.bmm(weights.flatten(0, 1).unsqueeze(1), branches.transpose(0, 1))
    return sums.reshape(n, steps, -1)
