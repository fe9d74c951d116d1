"""Experts for all tasks, a gate for each."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from bench.models.config import Dropout, SomeLayers
from bench.models.gates import Gates, mix
from bench.models.mlp import BatchedMLP, together
from bench.models.sharing.base import Sharing
from bench.registry import Config


class MMoEConfig(Config):
    """Options of `mmoe`."""

    experts: int = Field(4, ge=1, le=256)
    """How many experts all tasks share."""
    layers: SomeLayers = (128, 64)
    """Hidden layers of every expert."""
    dropout: Dropout = 0.0
    """After each of them."""


class MMoE(Sharing):
    """Multi-gate mixture-of-experts: h_k = sum_i g_k(x)_i f_i(x) (Ma et al., KDD 2018)."""

    def __init__(self, inputs: int, tasks: int, config: MMoEConfig) -> None:
        super().__init__()
        self.tasks = tasks
        self.experts = BatchedMLP(config.experts, inputs, config.layers, config.dropout)
        self.gates = Gates(tasks, inputs, config.experts)
        self.outputs = self.experts.outputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        experts, scores = together(x, [self.experts, self.gates.linear])
        return mix(scores, experts)[0]

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The experts; each slice of the gates is its task's own."""
        return self.parameters() if self.tasks == 1 else self.experts.parameters()
