"""The pinball loss, which predicts a quantile."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.losses.base import Context, RegressionLoss


class QuantileConfig(Config):
    """Options of `quantile`."""

    level: float = Field(0.5, gt=0, lt=1)
    """Level of the quantile: .5 predicts the median."""


class Quantile(RegressionLoss):
    """`level` times the error where the prediction is too low, 1 - `level` times it where it is too
    high.

    A logarithm keeps the order of labels, so the quantile of logarithms is the logarithm of the
    quantile, and no smearing factor is needed. With censored labels the prediction is capped at the
    bound on every row (Powell, Journal of Econometrics 1986): a quantile of capped labels is the
    capped quantile.
    """

    aims_at_mean = False

    def __init__(self, schema: Schema, config: QuantileConfig) -> None:
        super().__init__(schema, config)
        self.says = f"{config.level:g} quantile"

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """See `RegressionLoss.forward`."""
        said = outputs if context.bounds is None else torch.minimum(outputs, context.bounds)
        error, level = targets - said, self.config.level
        return torch.maximum(level * error, (level - 1) * error)
