"""Penalty-based boundary intersection (PBI)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.base import LossWeighting
from bench.core.registry import Config

_ROUNDING = 1e-6  # relative distance from the ray below which it is rounding error


class PBIConfig(Config):
    """Options of PBI."""

    penalty: float = Field(0.5, ge=0, allow_inf_nan=False)
    """Weight of the distance from the ray, relative to the distance along it. With two tasks and equal preferences, the
    tasks' weights are 1 -+ the penalty: above 1, the better task is made worse."""
    weight: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Direction of the ray, for each task by name, 1 where missing: the target proportions of the losses."""
    ideal: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """The least possible loss of each task, where the ray begins, 0 where missing."""


class PBI(LossWeighting):
    """s (d_1 + penalty d_2): d_1 the distance of the losses along a ray, d_2 their distance from it.

    Zhang & Li, IEEE Transactions on Evolutionary Computation 2007 (MOEA/D). s = T / (sum of the ray's unit vector), so
    that on the ray the weights sum to T. One training gives the front's point on one ray, as in `cosmos`. At distance 0
    its gradient is taken as 0. Tasks without samples in the batch are left out; a batch without any gives 0. Raises
    UserError if a preference or an ideal is given for a task that is not trained.
    """

    preferred: Tensor  # (T,)
    ideal: Tensor  # (T,)

    def __init__(self, tasks: Sequence[str], config: PBIConfig) -> None:
        super().__init__(tasks)
        self.penalty = config.penalty
        self.register_buffer("preferred", self.preference(config.weight, "pbi.weight"))
        self.register_buffer("ideal", self.of_tasks(config.ideal, 0.0, "pbi.ideal"))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        present = losses != 0
        if not present.any():
            return losses.sum()
        unit = self.preferred[present] / self.preferred[present].norm()
        shifted = (losses - self.ideal)[present]
        along = (shifted * unit).sum()
        size = shifted.detach().abs().max().clamp(min=torch.finfo(losses.dtype).tiny)
        across = (shifted - along * unit) / size
        if across.detach().abs().max() <= _ROUNDING:
            across = across.detach()  # a norm has no gradient at 0
        distance = torch.linalg.vector_norm(across)
        loss: Tensor = len(unit) / unit.sum() * (along + self.penalty * size * distance)
        return loss
