"""The towers: one MLP with a linear output for each task, all tasks in one batched product."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models import fused
from bench.models.config import TowerConfig
from bench.models.mlp import BatchedLinear, BatchedMLP


class Towers(nn.Module):
    """Attributes: `hidden` (the layers) and `output`, whose bias (T, 1) is where predictions start."""

    def __init__(self, tasks: int, inputs: int, config: TowerConfig) -> None:
        super().__init__()
        self.hidden = BatchedMLP(tasks, inputs, config.layers, config.dropout)
        self.output = BatchedLinear(tasks, self.hidden.outputs, 1)

    def forward(self, h: Tensor) -> Tensor:
        """h (T, B, H), or (1, B, H) for all tasks -> logits (B, T)."""
        h = self.hidden(h)
        weight, bias = self.output.weight, self.output.bias
        assert bias is not None
        if fused.fits(h, weight):
            return fused.head(h, weight, bias)
        logits: Tensor = self.output(h.to(weight.dtype))
        return logits.squeeze(2).t()

    @torch.no_grad()
    def set_bias(self, bias: Tensor) -> None:
        """Sets the output bias (T,), in logits."""
        assert self.output.bias is not None
        self.output.bias.copy_(bias.view(-1, 1))
