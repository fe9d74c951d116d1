"""SDMGrad: direction-oriented multi-objective gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.gramian import HalvesAggregation, project
from bench.core.registry import Config


class SDMGradConfig(Config):
    """Options of SDMGrad."""

    regularisation: float = Field(0.3, ge=0, allow_inf_nan=False)
    """Strength of the pull towards the mean gradient: 0 is stochastic MGDA."""
    lr: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Step size of the weights, in units of the squared mean norm of the gradients; bounded so that the steps
    converge."""
    momentum: float = Field(0.5, ge=0, lt=1)
    """Momentum of the weights' steps."""
    iterations: int = Field(20, ge=1, le=1000)
    """Steps of the weights within each step of the model."""


class SDMGrad(HalvesAggregation):
    """T (w + l / T) / (1 + l), l the regularisation: w on the simplex minimises (w . A w) / 2 + l w . A 1 / T.

    Xiao et al., NeurIPS 2023, algorithm 1, whose solver continues from the last step's w. A estimates the Gramian of
    shared dense parameters from the batch's two halves, as in `modo`; the update uses both halves, where the paper
    takes a third batch. With the authors' step size, 10, the weights of several tasks jump between corners of the
    simplex and rounding decides where they end; here a step is at most half of the size from which descent with
    momentum diverges.
    """

    def __init__(self, tasks: Sequence[str], config: SDMGradConfig) -> None:
        super().__init__(tasks)
        self.config = config

    def move(self, a: Tensor, w: Tensor, mass: float) -> tuple[Tensor, Tensor]:
        """See `HalvesAggregation.move`."""
        pull, size = self.config.regularisation, a.diagonal().clamp(min=0).sqrt().mean() ** 2
        # Where noise makes the diagonal 0, the largest product bounds the step instead.
        a = a / size.clamp(min=a.abs().max() / len(a) ** 2)
        lr = min(self.config.lr, (1 + self.config.momentum) / float(a.abs().sum(1).max()))  # a bound of the eigenvalues
        mean, velocity = torch.full_like(w, mass / len(w)), torch.zeros_like(w)
        for _ in range(self.config.iterations):
            velocity = self.config.momentum * velocity + a @ (w + pull * mean)
            w = project(w - lr * velocity, mass)
        return w, (w + pull * mean) / (1 + pull)
