"""Experts for all tasks, and one gate for all."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP, Gates, mix, together
from bench.models.sharing.mmoe import MMoEConfig


class OMoE(Sharing):
    """One-gate mixture-of-experts: h = sum_i g(x)_i f_i(x) for every task (Jacobs et al., Neural Computation 1991)."""

    def __init__(self, inputs: int, tasks: int, config: MMoEConfig) -> None:
        super().__init__()
        self.experts = BatchedMLP.of(config, config.experts, inputs)
        self.gates = Gates(1, inputs, config.experts, config)
        self.outputs = self.experts.outputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (1, B, H)."""
        experts, gates = together(x, [self.experts, self.gates.first])
        return mix(self.gates.scores(gates), experts)[0]

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All of it."""
        return self.parameters()
