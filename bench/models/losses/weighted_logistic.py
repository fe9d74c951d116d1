"""Weighted logistic regression of a time."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.losses.base import Context, RegressionLoss, is_uncensored, of_scales


def is_logarithmic(schema: Schema) -> str | None:
    """The `unfit` of `weighted_logistic`: outputs must be logarithms, and labels uncensored."""
    for task in schema.tasks:
        if task.kind == "regression" and not (task.scale and task.scale.log):
            return (
                f"regression '{task.name}' is not on the scale log1p, which its card or skewed "
                "labels would give it"
            )
    return is_uncensored(schema)


class WeightedLogistic(RegressionLoss):
    """Logistic regression whose odds are 1 + y: a positive of weight 1 + y against a negative of
    weight 1.

    The logit of these odds is log(1 + y), the output on the scale log1p. The loss is minimal where
    the odds are the mean of 1 + y: it aims at the mean, where a squared error of logarithms aims
    below it. Its minimum is subtracted, and the rest is divided by the target's variance, so that
    it starts near a squared error.
    """

    def __init__(self, schema: Schema, config: Config) -> None:
        super().__init__(schema, config)
        scales = (of_scales(schema, name) for name in ("centre", "spread"))
        self.centre, self.spread = (nn.Buffer(each, persistent=False) for each in scales)

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """See `RegressionLoss.forward`."""
        logits, best = (values * self.spread + self.centre for values in (outputs, targets))
        weight = best.exp()  # 1 + y

        def loss(at: Tensor) -> Tensor:
            return weight * F.softplus(-at) + F.softplus(at)

        # rounding error may be negative
        return ((loss(logits) - loss(best)) / self.spread.square()).clamp(min=0)
