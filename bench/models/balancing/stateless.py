"""Loss weightings that learn nothing: fixed weights, random weights, and the geometric mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
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

    Example:
        >>> import torch
        >>> balancer = Static(["click", "buy"], StaticConfig(weight={"click": 3.0}))
        >>> balancer(torch.tensor([0.4, 0.2]))
        tensor(0.7000)
    """

    def __init__(self, tasks: Sequence[str], config: StaticConfig) -> None:
        super().__init__(tasks, config)
        self.weight = nn.Buffer(self.preference(config.weight, "static.weight"))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        return (self.weight * losses).sum()


class RLW(LossWeighting):
    """T softmax(z) . L with z ~ N(0, 1) in each step (Lin et al., TMLR 2022), T times the paper's
    loss.
    """

    claims = frozenset({"random"})

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        weights = torch.randn_like(losses).softmax(dim=0)
        return len(self.tasks) * (weights * losses).sum()


class GLS(LossWeighting):
    """T (prod_i L_i)^(1/T) (Chennupati et al., CVPR Workshops 2019), T times the paper's loss:
    equal losses weigh 1.

    The mean and T cover the tasks with samples in the batch, as a loss of 0 would make the product
    0. A batch without any gives 0.
    """

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), none negative -> scalar."""
        present = losses[losses != 0]
        if len(present) == 0:
            return losses.sum()
        return len(present) * present.log().mean().exp()
