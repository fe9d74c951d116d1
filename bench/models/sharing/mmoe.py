"""Experts for all tasks, a gate for each."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP, Gates, mix, together
from bench.models.model_options import ExpertConfig


class MMoEConfig(ExpertConfig):
    """Options of `mmoe`."""

    experts: int = Field(4, ge=1, le=256)
    """Number of shared experts."""


class MMoE(Sharing, lower_precision=True):
    """Multi-gate mixture-of-experts: h_k = sum_i g_k(x)_i f_i(x) (Ma et al., KDD 2018)."""

    def __init__(self, inputs: int, tasks: int, config: MMoEConfig) -> None:
        super().__init__()
        self.experts = BatchedMLP.of(config, config.experts, inputs)
        self.gates = Gates(tasks, inputs, config.experts, config)
        self.outputs = self.experts.outputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        experts, gates = together(x, [self.experts, self.gates.first])
        return mix(self.gates(gates), experts)[0]

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The experts; each slice of the gates belongs to its task."""
        return self.experts.parameters()
