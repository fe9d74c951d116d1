"""Normalised experts, each with a gate on its features, and a gate of each task on its own experts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.models.config import Activation, Norm
from bench.models.contracts import Sharing
from bench.models.layers import BatchedLinear, BatchedMLP, Gates, mix, softmax, together
from bench.models.sharing.ple import CGCConfig


class HoMEConfig(CGCConfig):
    """Options of `home`."""

    activation: Activation = "silu"
    """After each layer of an expert, before the dropout."""
    norm: Norm = "layer"
    """Of each layer of an expert, before the activation."""
    rank: int = Field(8, ge=1, le=1024)
    """Rank of an expert's gate on its features."""


class GatedExperts(nn.Module):
    """E experts with input x * 2 sigmoid(x A_e B_e), A and B of low rank."""

    def __init__(self, experts: int, inputs: int, config: HoMEConfig) -> None:
        super().__init__()
        self.down = BatchedLinear(experts, inputs, config.rank, bias=False)
        self.up = BatchedLinear(experts, config.rank, inputs, bias=False)
        self.experts = BatchedMLP.of(config, experts, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (E, B, H)."""
        (low,) = together(x, [self.down])
        (features,) = together(low, [self.up])
        h: Tensor = self.experts(x * (2 * features.sigmoid()))
        return h


class HoME(Sharing):
    """Experts and gates of the hierarchy of multi-gate experts (Wang et al., 2024; arXiv 2408.05430).

    Own and shared experts form one level. Normalisation and Swish make experts' outputs comparable, against collapse.
    Two more gates work against underfitting. Each expert has a low-rank gate on its features (the paper adds up
    several). Each task has a gate on its own experts, beside the one on all that it may use.

    Two differences: normalisation is over the units of a sample, not over the batch, see `bench.models.config.Norm`.
    And the level of meta-experts before this one is left out: it needs categories of tasks, which cards do not have.
    """

    def __init__(self, inputs: int, tasks: int, config: HoMEConfig) -> None:
        super().__init__()
        self.tasks, self.own_experts = tasks, config.own_experts
        self.own = GatedExperts(tasks * config.own_experts, inputs, config)
        self.shared = GatedExperts(config.shared_experts, inputs, config)
        self.gates = Gates(tasks, inputs, config.own_experts + config.shared_experts, config)
        self.self_gates = Gates(tasks, inputs, config.own_experts, config)
        self.outputs = config.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        own, shared = self.own(x), self.shared(x)
        gates, self_gates = together(x, [self.gates.first, self.self_gates.first])
        scores = self.self_gates.scores(self_gates)
        weights = scores.sigmoid() if self.own_experts == 1 else softmax(scores)  # (T, B, own of the task)
        groups = own.view(self.tasks, self.own_experts, *own.shape[1:])
        residual = torch.einsum("tbm,tmbh->tbh", weights, groups)
        return mix(self.gates.scores(gates), shared, own)[0] + residual

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The shared experts, with their gates on features."""
        return self.parameters() if self.tasks == 1 else self.shared.parameters()
