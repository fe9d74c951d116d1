"""A network for each task, mixed after every layer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP
from bench.models.model_options import HiddenConfig, SomeLayers

_KEPT = 0.9  # initial weight of a task's own units; the other tasks share the rest equally


class CrossStitchConfig(HiddenConfig):
    """Options of `cross_stitch`."""

    layers: SomeLayers = (128, 64)
    """Hidden layers of every task's network, each followed by a stitch."""


class CrossStitch(Sharing, lower_precision=True):
    """Cross-stitch networks: after each layer, h_t <- sum_s a_ts h_s (Misra et al., CVPR 2016).

    A layer has one number a for each pair of tasks, near the identity at first, as in the paper.
    """

    def __init__(self, inputs: int, tasks: int, config: CrossStitchConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            BatchedMLP(tasks, ends[0], ends[1:], config.dropout, config.activation, config.norm)
            for ends in pairwise([inputs, *config.layers])
        )
        self.stitches = nn.ParameterList(_beginning(tasks) for _ in self.layers)
        self.outputs = config.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        for layer, stitch in zip(self.layers, self.stitches, strict=True):
            h = layer(x)
            x = torch.einsum("ts,sbh->tbh", stitch.to(h.dtype), h)
        return x

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All except the last stitch, each row of which belongs to its task."""
        return iter([*self.layers.parameters(), *self.stitches[:-1]])


def _beginning(tasks: int) -> nn.Parameter:
    if tasks == 1:
        return nn.Parameter(torch.ones(1, 1))
    rest = (1 - _KEPT) / (tasks - 1)
    return nn.Parameter(torch.full((tasks, tasks), rest) + (_KEPT - rest) * torch.eye(tasks))
