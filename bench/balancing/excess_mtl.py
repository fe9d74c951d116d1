"""ExcessMTL: more weight to tasks that are far from their optimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.base import GradientCombination, Need, TaskGradients, dense, norms, weighted, zeros
from bench.registry import Config


class ExcessMTLConfig(Config):
    """Options of ExcessMTL."""

    lr: float = Field(0.01, gt=0, le=10)
    """Step size of the weights' logarithms."""


class ExcessMTL(GradientCombination):
    """sum_i w_i g_i with w = T softmax of sums of lr e_i / e_i(0), e_i = sum_k g_ik^2 / h_ik the excess risk of task i.

    He et al., ICML 2024: h is the root of the sum of squares so far, a diagonal Hessian, and e_i(0) that of the task's
    first gradient, as in the authors' code. It covers the shared dense parameters, since coordinates of the embedding
    output belong to samples that come once; where nothing dense is shared, all weights are 1. Weights are for the
    towers, too. A task without samples in the batch keeps its weight and has no say in the others'.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "gradient state"})
    weighs_own = True
    square: Tensor  # (T, N): sums of squared gradients
    log_weight: Tensor  # (T,): of w / T
    unit: Tensor  # (T,): the first excess risk; 0 before

    def __init__(self, tasks: Sequence[str], config: ExcessMTLConfig) -> None:
        super().__init__(tasks)
        self.lr = config.lr
        for name in ("log_weight", "unit"):
            self.register_buffer(name, torch.zeros(len(self.tasks), dtype=torch.float64))

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Makes the sums of squares."""
        self.register_buffer("square", zeros(len(self.tasks), parameters))

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """-> the combined gradient's parts."""
        heard = norms(gradients).amax(1) > 0
        risk = self._risk(dense(gradients))
        begun = self.unit > 0
        self.log_weight += torch.where(begun, self.lr * risk / torch.where(begun, self.unit, 1.0), 0.0)
        self.unit.copy_(torch.where(begun, self.unit, risk))
        among = self.log_weight.masked_fill(~heard, -torch.inf)
        self.weights = torch.where(heard.any(), heard.sum() * torch.softmax(among, 0), 0.0).nan_to_num(nan=0.0)
        return weighted(gradients, self.weights)

    def _risk(self, gradients: Tensor) -> Tensor:
        """e (T,), after taking these (T, N) into h."""
        self.square += gradients.square()
        root = self.square.sqrt()
        terms = torch.where(root > 0, gradients.square() / torch.where(root > 0, root, 1.0), 0.0)
        return terms.double().sum(1)
