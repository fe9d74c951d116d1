"""The towers: one MLP with a linear output for each task, all tasks in one batched product.

The k members of an ensemble share the layers; each has a linear output of its own.
"""

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
        members: k, of the ensemble.
        transfer: makes what hidden units go through before the output, see `Funnel.transfer`.

    Attributes: `hidden` (the layers), `transfer`, and `output`, whose bias (O, k) is where predictions start.
    """

    def __init__(
        self,
        towers: int,
        inputs: int,
        config: TowerConfig,
        members: int = 1,
        transfer: Callable[[int], nn.Module | None] = lambda width: None,
    ) -> None:
        super().__init__()
        self.hidden = BatchedMLP(towers, inputs, config.layers, config.dropout)
        self.output = BatchedLinear(towers, self.hidden.outputs, members)
        self.transfer = transfer(self.hidden.outputs)

    def forward(self, h: Tensor) -> Tensor:
        """h (O, k B, H), or (1, k B, H) for all towers; member by member -> logits (k B, O)."""
        h = self.hidden(h)
        if self.transfer is not None:
            h = self.transfer(h)
        assert self.output.bias is not None
        weight, bias = self.output.weight, self.output.bias
        towers, members, width = weight.shape
        if fused.fits(h, weight):
            own = h.reshape(towers * members, -1, width)
            logits = fused.head(own, weight.view(-1, 1, width), bias.view(-1, 1))  # (B, O k)
            return logits.view(-1, towers, members).permute(2, 0, 1).flatten(0, 1) if members > 1 else logits
        # All outputs of all members' rows, then each member's own: torch.export cannot part these rows before.
        every = torch.bmm(h.to(weight.dtype), weight.transpose(1, 2)) + bias.unsqueeze(1)  # (O, k B, k)
        each = every.view(towers, members, -1, members).diagonal(dim1=1, dim2=3)  # (O, B, k)
        return torch.cat(each.unbind(2), dim=1).t()

    @torch.no_grad()
    def set_bias(self, bias: Tensor) -> None:
        """Sets the output bias (O,), in logits."""
        assert self.output.bias is not None
        self.output.bias.copy_(bias.view(-1, 1).expand_as(self.output.bias))
