"""CR-MOGM: the weights of another rule, smoothed over steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.base import GradientAggregation
from bench.balancing.cagrad import CAGrad, CAGradConfig
from bench.balancing.mgda import MGDA
from bench.balancing.pcgrad import PCGrad
from bench.balancing.upgrad import UPGrad
from bench.registry import Config, NoOptions


class CRMOGMConfig(Config):
    """Options of CR-MOGM."""

    rule: Literal["mgda", "pcgrad", "cagrad", "upgrad"] = "mgda"
    """Whose weights are smoothed; its options are the defaults."""
    alpha: float = Field(0.9, ge=0, lt=1)
    """Share of the last step's weights in this step's; 0 is the rule itself."""


class CRMOGM(GradientAggregation):
    """w = alpha w_before + (1 - alpha) w_rule, beginning with the rule's first weights.

    Zhou et al., NeurIPS 2022, with a fixed alpha. What the rule guarantees for one step holds only nearly for its
    average. A task without samples keeps what its weight was, and does not count.
    """

    weight: Tensor  # (T,): of the last step with samples
    begun: Tensor  # (T,): whether there was one

    def __init__(self, tasks: Sequence[str], config: CRMOGMConfig) -> None:
        super().__init__(tasks)
        self.alpha = config.alpha
        rules: dict[str, Callable[[], GradientAggregation]] = {
            "mgda": lambda: MGDA(tasks, NoOptions()),
            "pcgrad": lambda: PCGrad(tasks, NoOptions()),
            "cagrad": lambda: CAGrad(tasks, CAGradConfig()),
            "upgrad": lambda: UPGrad(tasks, NoOptions()),
        }
        self.rule = rules[config.rule]()
        self.register_buffer("weight", torch.ones(len(self.tasks), dtype=torch.float64))
        self.register_buffer("begun", torch.zeros(len(self.tasks), dtype=torch.bool))

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,)."""
        found = self.rule(gramian).to(self.weight)
        heard = gramian.diagonal() > 0
        smoothed = torch.where(self.begun, self.alpha * self.weight + (1 - self.alpha) * found, found)
        self.weight.copy_(torch.where(heard, smoothed, self.weight))
        self.begun |= heard
        return torch.where(heard, smoothed, 1.0).to(gramian)
