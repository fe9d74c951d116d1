"""The squared error, and the likelihood that takes its place where a label is known as a lower bound alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.models.losses.base import Context, RegressionLoss, mean
from bench.registry import Config
from bench.schema import Schema

SLOWEST = 0.02
"""Least weight of the newest batch in the running variance."""
LEAST = 1e-4
"""Of the variance, which is 1 for all targets together."""


class Squared(RegressionLoss):
    """Half the squared error: of a standardised target it begins at .5, about where a log loss begins.

    Where labels are censored, it is Tobit's likelihood (Tobin, Econometrica 1958), times the variance of the error: a
    label at its bound b costs -s^2 log P(y >= b), for an error that is normal with deviation s. A squared error that is
    only 0 above the bound would not do: it is least where the prediction is the mean of capped labels.

    s^2 follows the batches by steps of EM (Dempster et al., JRSS B 1977), and is part of the model's state. From a
    logarithm, the mean is that of a log-normal quantity: exp(output + s^2 / 2), in the unit of 1 + y.

    Attributes:
        variance: s^2 of each task, (T,), on the scale of its targets.
    """

    of_constant = 0.5
    censored: Tensor
    shift: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, schema: Schema, config: Config) -> None:
        super().__init__(schema, config)
        scales = [task.scale if task.censored else None for task in schema.tasks]
        self.censors = any(task.censored for task in schema.tasks)
        self.register_buffer("smeared", torch.tensor([not task.censored for task in schema.tasks]), persistent=False)
        if self.censors:
            shift = [scale.spread / 2 if scale and scale.log else 0.0 for scale in scales]
            self.register_buffer("shift", torch.tensor(shift), persistent=False)
            self.register_buffer("variance", torch.ones(len(scales)))
            self.register_buffer("batches", torch.zeros(()))

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """See `RegressionLoss.forward`."""
        plain = (outputs - targets).square() / 2
        if context.bounds is None:
            return plain
        above, deviation = targets >= context.bounds, self.variance.sqrt()
        bounds = torch.where(above, context.bounds, outputs)
        beyond = -self.variance * torch.special.log_ndtr((outputs - bounds) / deviation)
        return torch.where(above, beyond, plain)

    @torch.no_grad()
    def follow(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context) -> None:
        """See `RegressionLoss.follow`: the variance of what is expected of each error."""
        if not self.censors or context.bounds is None:
            return
        known = ~targets.isnan()
        above = known & (targets >= context.bounds)
        z = (torch.where(above, context.bounds, outputs) - outputs) / self.variance.sqrt()
        hazard = (-z.square() / 2 - math.log(math.sqrt(2 * math.pi)) - torch.special.log_ndtr(-z)).exp()
        squares = torch.where(above, self.variance * (1 + z * hazard), (outputs - targets).square())
        self.batches += 1
        found = mean(squares, known, weights).clamp(min=LEAST)
        rate = (1 / (self.batches + 1)).clamp(min=SLOWEST)
        self.variance.lerp_(torch.where(known.any(0), found, self.variance), rate)

    def predicted(self, outputs: Tensor, dense: Tensor) -> Tensor:
        """See `RegressionLoss.predicted`."""
        return outputs + self.variance * self.shift if self.censors else outputs
