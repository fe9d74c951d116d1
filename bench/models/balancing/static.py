"""Static weights: linear scalarisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import LossWeighting


class StaticConfig(Config):
    """Options of static weights."""

    weight: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    """Weight of each task by name, 1 where missing; only their ratios count."""


class Static(LossWeighting):
    """sum_i w_i L_i, with w normalised to sum to T; raises UserError if a task with a weight is not
    trained.
    """

    def __init__(self, tasks: Sequence[str], config: StaticConfig) -> None:
        super().__init__(tasks, config)
        self.weight = nn.Buffer(self.preference(config.weight, "static.weight"))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        return (self.weight * losses).sum()
