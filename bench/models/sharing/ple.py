"""Shared experts beside each task's own, in levels."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedLinear, BatchedMLP, Gates, mix, together
from bench.models.model_options import ExpertConfig


class CGCConfig(ExpertConfig):
    """Options of `cgc`, and of a level of `ple`."""

    shared_experts: int = Field(2, ge=1, le=256)
    """Shared experts on a level."""
    own_experts: int = Field(2, ge=1, le=256)
    """Experts of each task on a level."""


class PLEConfig(CGCConfig):
    """Options of `ple`."""

    levels: int = Field(2, ge=1, le=8)
    """Number of levels of experts; 1 is CGC."""


class Level(nn.Module):
    """One extraction level. All except the last have a shared gate over all experts, for the next
    level.

    Attributes:
        own: experts t * own_experts .. (t + 1) * own_experts belong to task t.
        shared: experts of all tasks.
        gates: of task t, over its own experts, then the shared ones.
        shared_gate: over all own experts, then the shared ones; None on the last level.
    """

    def __init__(self, inputs: int, tasks: int, config: CGCConfig, last: bool) -> None:
        super().__init__()
        own, shared = tasks * config.own_experts, config.shared_experts
        self.own = BatchedMLP.of(config, own, inputs)
        self.shared = BatchedMLP.of(config, shared, inputs)
        self.gates = Gates(tasks, inputs, config.own_experts + shared, config)
        self.shared_gate = None if last else Gates(1, inputs, own + shared, config)
        self.outputs = self.own.outputs

    def forward(self, x: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, B, inputs) and shared (1, B, inputs) -> the same for the next level.

        On the first level both are the same tensor. After the last, shared is (0, B, H).
        """
        of_tasks: list[BatchedMLP | BatchedLinear] = [self.own, self.gates.first]
        of_all: list[BatchedMLP | BatchedLinear] = [
            self.shared,
            *([] if self.shared_gate is None else [self.shared_gate.first]),
        ]
        if x is shared:
            own, gates, common, *shared_gate = together(x, [*of_tasks, *of_all])
        else:
            own, gates = together(x, of_tasks)
            common, *shared_gate = together(shared, of_all)
        all_scores = None if self.shared_gate is None else self.shared_gate(*shared_gate)
        return mix(self.gates(gates), common, own, all_scores)


class PLE(Sharing, lower_precision=True):
    """Progressive layered extraction (Tang et al., RecSys 2020)."""

    def __init__(self, inputs: int, tasks: int, config: PLEConfig) -> None:
        super().__init__()
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
        """Shared experts and gates, and whatever reaches all tasks through a later shared gate.

        Own experts are inputs of their level's shared gate, so they are shared on all levels except
        the last. A task's gate feeds its own experts of the next level, so it is shared on all
        levels except the last two.
        """
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
