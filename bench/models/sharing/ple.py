"""Shared experts beside each task's own, in levels."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from bench.models.config import Dropout, SomeLayers
from bench.models.gates import Gates, mix
from bench.models.mlp import BatchedMLP
from bench.models.sharing.base import Sharing
from bench.registry import Config


class PLEConfig(Config):
    """Options of `ple`."""

    levels: int = Field(2, ge=1, le=8)
    """How many levels of experts; 1 is CGC."""
    shared_experts: int = Field(2, ge=1, le=256)
    """Experts of a level that all tasks share."""
    own_experts: int = Field(2, ge=1, le=256)
    """Experts of a level that belong to one task, for each task."""
    layers: SomeLayers = (128, 64)
    """Hidden layers of every expert."""
    dropout: Dropout = 0.0
    """After each of them."""


class Level(nn.Module):
    """One extraction level. Every level but the last has a shared gate over all its experts, for the next level.

    Attributes:
        own: experts t * own_experts .. (t + 1) * own_experts belong to task t.
        shared: experts of all tasks.
        gates: of task t, over its own experts, then the shared ones.
        shared_gate: over all own experts, then the shared ones; None on the last level.
    """

    def __init__(self, inputs: int, tasks: int, config: PLEConfig, last: bool) -> None:
        super().__init__()
        self.tasks, self.own_experts = tasks, config.own_experts
        own, shared = tasks * config.own_experts, config.shared_experts
        self.own = BatchedMLP(own, inputs, config.layers, config.dropout)
        self.shared = BatchedMLP(shared, inputs, config.layers, config.dropout)
        self.gates = Gates(tasks, inputs, config.own_experts + shared)
        self.shared_gate = None if last else Gates(1, inputs, own + shared)
        self.outputs = self.own.outputs

    def forward(self, x: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, B, inputs), or (1, B, inputs) for all tasks, and shared (1, B, inputs) -> the same of the next level.

        The last level passes its shared input on, for nobody.
        """
        own: Tensor = self.own(x)  # (T * own, B, H)
        by_task = own.view(self.tasks, self.own_experts, *own.shape[1:])
        common: Tensor = self.shared(shared).unsqueeze(0)  # (1, shared, B, H)
        tasks = _mix_parts(self.gates(x), by_task, common)
        if self.shared_gate is None:
            return tasks, shared
        return tasks, _mix_parts(self.shared_gate(shared), own.unsqueeze(0), common)


def _mix_parts(weights: Tensor, own: Tensor, shared: Tensor) -> Tensor:
    """`mix` over own and shared experts without putting them in one tensor: a copy of both would cost more."""
    split = own.shape[1]
    return mix(weights[:, :split], own) + mix(weights[:, split:], shared)


class PLE(Sharing):
    """Progressive layered extraction (Tang et al., RecSys 2020)."""

    def __init__(self, inputs: int, tasks: int, config: PLEConfig) -> None:
        super().__init__()
        self.tasks = tasks
        self.levels = nn.ModuleList()
        for number in range(1, config.levels + 1):
            level = Level(inputs, tasks, config, last=number == config.levels)
            self.levels.append(level)
            inputs = level.outputs
        self.outputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        shared = x
        for level in self.levels:
            x, shared = level(x, shared)
        return x

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Shared experts and gates, and what reaches all tasks through a later shared gate.

        Own experts are under the shared gate of their level: shared on all levels but the last. A task's gate feeds
        its own experts of the next level, and so is shared where those are: on all levels but the last two.
        """
        if self.tasks == 1:
            yield from self.parameters()
            return
        last = len(self.levels) - 1
        for number, level in enumerate(self.levels):
            assert isinstance(level, Level)
            yield from level.shared.parameters()
            if level.shared_gate is not None:
                yield from level.shared_gate.parameters()
            if number < last:
                yield from level.own.parameters()
            if number < last - 1:
                yield from level.gates.parameters()
