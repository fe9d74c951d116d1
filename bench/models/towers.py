"""The towers: one MLP with a linear output for each task, all tasks in one batched product."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.models import fused
from bench.models.config import TowerConfig
from bench.models.mlp import BatchedLinear, BatchedMLP


class Towers(nn.Module):
    """O towers: one for each task, and what a funnel asks for beside them.

    Args:
        transfer: makes what hidden units go through before the output, see `Funnel.transfer`.

    Attributes: `hidden` (the layers), `transfer`, and `output`, whose bias (O, 1) is where predictions start.
    """

    def __init__(
        self,
        towers: int,
        inputs: int,
        config: TowerConfig,
        transfer: Callable[[int], nn.Module | None] = lambda width: None,
    ) -> None:
        super().__init__()
        self.hidden = BatchedMLP(towers, inputs, config.layers, config.dropout)
        self.output = BatchedLinear(towers, self.hidden.outputs, 1)
        self.transfer = transfer(self.hidden.outputs)

    def forward(self, h: Tensor) -> Tensor:
        """h (O, B, H), or (1, B, H) for all towers -> logits (B, O)."""
        h = self.hidden(h)
        if self.transfer is not None:
            h = self.transfer(h)
        weight, bias = self.output.weight, self.output.bias
        assert bias is not None
        if fused.fits(h, weight):
            return fused.head(h, weight, bias)
        logits: Tensor = self.output(h.to(weight.dtype))
        return logits.squeeze(2).t()

    @torch.no_grad()
    def set_bias(self, bias: Tensor) -> None:
        """Sets the output bias (O,), in logits."""
        assert self.output.bias is not None
        self.output.bias.copy_(bias.view(-1, 1))
