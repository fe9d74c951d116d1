"""Own experts, fused over all tasks, plus a residual of the task's own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP, Gates, mix, together
from bench.models.model_options import ExpertConfig


class AdaTTConfig(ExpertConfig):
    """Options of `adatt`."""

    levels: int = Field(2, ge=1, le=8)
    """Number of levels of experts."""
    own_experts: int = Field(2, ge=1, le=256)
    """Experts of each task on a level."""
    shared_experts: int = Field(0, ge=0, le=256)
    """Experts of the shared unit on a level; 0 is AdaTT-sp."""


class TaskUnit(nn.Module):
    """The experts of U task units, or of the shared one, and their fusion.

    Attributes:
        experts: u * count .. (u + 1) * count belong to unit u.
        gates: of each unit, over all experts of the level; None where nothing follows.
        residual: (U, count), weights of a unit's own experts, equal at first; None where a single
            expert is added with weight 1.
    """

    def __init__(
        self, units: int, count: int, all_experts: int, inputs: int, config: AdaTTConfig, last: bool
    ) -> None:
        super().__init__()
        self.units, self.count = units, count
        self.experts = BatchedMLP.of(config, units * count, inputs)
        self.gates = None if last else Gates(units, inputs, all_experts, config)
        self.residual = (
            None if last or count == 1 else nn.Parameter(torch.full((units, count), 1 / count))
        )

    def begin(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """x (U or 1, B, inputs) -> experts (U * count, B, H), scores (U, B, all experts)."""
        if self.gates is None:
            return self.experts(x), None
        experts, gates = together(x, [self.experts, self.gates.first])
        return experts, self.gates(gates)

    def fuse(self, own: Tensor, scores: Tensor, all_experts: Tensor) -> Tensor:
        """-> (U, B, H): the gated sum of all experts, plus the weighted sum of its own."""
        if self.residual is not None:
            groups = own.view(self.units, self.count, *own.shape[1:])
            own = torch.einsum("um,umbh->ubh", self.residual.to(own.dtype), groups)
        return mix(scores, all_experts)[0] + own


class AdaTT(Sharing, lower_precision=True):
    """Adaptive task-to-task fusion (Li et al., KDD 2023).

    On every level h_t = sum_i g_t(h_t)_i f_i + sum_j v_tj f_tj: i over the experts of all units, j
    over the task's own; v = 1 for a single one. With shared experts, their unit does the same on
    all levels except the last.
    """

    def __init__(self, inputs: int, tasks: int, config: AdaTTConfig) -> None:
        super().__init__()
        own, shared = config.own_experts, config.shared_experts
        total = tasks * own + shared
        self.own, self.shared = nn.ModuleList(), nn.ModuleList()
        for number in range(1, config.levels + 1):
            self.own.append(TaskUnit(tasks, own, total, inputs, config, last=False))
            if shared:
                self.shared.append(
                    TaskUnit(1, shared, total, inputs, config, last=number == config.levels)
                )
            inputs = config.layers[-1]
        self.outputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        common = x
        for number, unit in enumerate(self.own):
            assert isinstance(unit, TaskUnit)
            experts, scores = unit.begin(x)
            assert scores is not None
            if not self.shared:
                x = unit.fuse(experts, scores, experts)
                continue
            beside = self.shared[number]
            assert isinstance(beside, TaskUnit)
            shared, shared_scores = beside.begin(common)
            every = torch.cat([experts, shared])
            x = unit.fuse(experts, scores, every)
            if shared_scores is not None:
                common = beside.fuse(shared, shared_scores, every)
        return x

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All except the last level's gates and residual, whose slices are their task's; experts
        reach every task.
        """
        last = self.own[-1]
        assert isinstance(last, TaskUnit)
        experts = {id(parameter) for parameter in last.experts.parameters()}
        of_tasks = {id(parameter) for parameter in last.parameters()} - experts
        return (parameter for parameter in self.parameters() if id(parameter) not in of_tasks)
