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
from bench.core.registry import Config, NoOptions


class CRMOGMConfig(Config):
    """Options of CR-MOGM."""

    rule: Literal["mgda", "pcgrad", "cagrad", "upgrad"] = "mgda"
    """The rule whose weights are smoothed, with its default options."""
    alpha: float = Field(0.9, ge=0, lt=1)
    """Decay of the moving average of weights; 0 gives the rule's own weights."""


class CRMOGM(GradientAggregation):
    """w = alpha w_before + (1 - alpha) w_rule, starting at the rule's first weights.

    Zhou et al., NeurIPS 2022, with a fixed alpha. The rule's guarantees for one step hold only approximately for
    averaged weights. A task without samples keeps its average and gets weight 1.
    """

    weight: Tensor  # (T,): of the last step with samples
    begun: Tensor  # (T,): whether there was such a step

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
        new = self.rule(gramian).to(self.weight)
        heard = gramian.diagonal() > 0
        smoothed = torch.where(self.begun, self.alpha * self.weight + (1 - self.alpha) * new, new)
        self.weight.copy_(torch.where(heard, smoothed, self.weight))
        self.begun |= heard
        return torch.where(heard, smoothed, 1.0).to(gramian)
