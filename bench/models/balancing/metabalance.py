"""MetaBalance: scales auxiliary gradients to the target's norm, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import GradientCombination, TaskGradients, norms, weighted

_MAX_WEIGHT = 1e12


class MetaBalanceConfig(Config):
    """Options of MetaBalance."""

    target: str = ""
    """Name of the task that the others help; empty means the first task."""
    relax: float = Field(0.7, ge=0, le=1)
    """0 leaves gradients unchanged, 1 makes their average norms equal to the target's."""
    beta: float = Field(0.9, ge=0, lt=1)
    """Decay of the moving averages of norms."""
    scale: Literal["both", "down", "up"] = "both"
    """Whether auxiliary gradients are shortened, lengthened, or both: the paper's strategies C, A
    and B.
    """


class MetaBalance(GradientCombination):
    """sum_i (r m_t / m_i + 1 - r) g_i in each part: m the moving averages of norms there, t the
    target, r the relax.

    He et al., WWW 2022, algorithm 1; a part is the embedding output or one shared parameter. The
    averages are corrected for their start at 0. A part whose gradient is zero (the task has no
    samples in the batch) keeps its average. Raises UserError if the target is not trained.
    """

    needs = frozenset({"gradients"})
    claims = frozenset({"asymmetric", "stateful"})

    def __init__(self, tasks: Sequence[str], config: MetaBalanceConfig) -> None:
        super().__init__(tasks, config)
        self.target = self.place(config.target, "metabalance.target") if config.target else 0

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Allocates the averages and the steps in them, (T, P) for the embedding output and each
        parameter.
        """
        zeros = torch.zeros(len(self.tasks), 1 + len(parameters), dtype=torch.float64)
        self.average, self.count = nn.Buffer(zeros), nn.Buffer(zeros.clone())
        if parameters:
            self.to(parameters[0].device)

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        beta = self.config.beta
        part_norms = norms(gradients)
        present = part_norms > 0
        moved = beta * self.average + (1 - beta) * part_norms
        self.average.copy_(torch.where(present, moved, self.average))
        self.count.add_(present)

        usual = self.average / torch.where(self.count > 0, 1 - beta**self.count, 1.0)
        target = usual[self.target]
        has_ratio = (usual > 0) & (target > 0)
        ratio = torch.where(has_ratio, target / torch.where(has_ratio, usual, 1.0), 1.0)
        ratio = ratio.clamp(max=_MAX_WEIGHT)
        if self.config.scale == "down":
            ratio = ratio.clamp(max=1.0)
        elif self.config.scale == "up":
            ratio = ratio.clamp(min=1.0)
        return weighted(gradients, self.config.relax * ratio + 1 - self.config.relax)
