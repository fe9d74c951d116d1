"""Losses of regressions whose output is one number: a mean, or a quantile."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.losses.base import Context, RegressionLoss, is_uncensored, mean, of_scales

SLOWEST = 0.02
"""Smallest weight of the newest batch in the running variance."""
LEAST_VARIANCE = 1e-4
"""Lower bound of the variance; targets have variance 1."""
LARGEST = 80.0
"""Upper bound of a logarithm whose exp fits into float32."""
FAR = 1e6
"""Upper bound of deviations."""


class Squared(RegressionLoss):
    """Half the squared error, about .5 at the start for a standardised target, near the start of a
    log loss.

    With censored labels it is Tobit's likelihood (Tobin, Econometrica 1958), times the variance of
    the error: a label at its bound b costs -s^2 log P(y >= b), for a normal error with deviation s.
    A squared error that is merely 0 above the bound would be minimised by the mean of capped
    labels.

    s^2 follows the batches by steps of EM (Dempster et al., JRSS B 1977), and is part of the
    model's state. For targets on a logarithmic scale the mean is that of a log-normal quantity:
    exp(output + s^2 / 2), in the unit of 1 + y.

    Attributes:
        variance: s^2 of each task, (T,), on the scale of its targets.
    """

    of_constant = 0.5

    def __init__(self, schema: Schema, config: Config) -> None:
        super().__init__(schema, config)
        self.censors = any(task.censored for task in schema.tasks)
        self.smeared = tuple(not task.censored for task in schema.tasks)
        if self.censors:
            censored = torch.tensor([task.censored for task in schema.tasks])
            logged = censored & of_scales(schema, "log")
            self.censored = nn.Buffer(censored, persistent=False)
            self.logged = nn.Buffer(logged, persistent=False)
            self.centre = nn.Buffer(of_scales(schema, "centre"), persistent=False)
            self.spread = nn.Buffer(of_scales(schema, "spread"), persistent=False)
            self.variance = nn.Buffer(torch.ones(len(censored)))
            self.batches: Tensor = nn.Buffer(torch.zeros(()))

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """Half the squared error (B, T), or the likelihood of labels at their bounds."""
        squared = (outputs - targets).square() / 2
        if context.bounds is None:
            return squared
        at_bound = targets >= context.bounds
        bounds = torch.where(at_bound, context.bounds, outputs)
        deviations = (outputs - bounds) / self.variance.sqrt()
        return torch.where(at_bound, -self.variance * torch.special.log_ndtr(deviations), squared)

    @torch.no_grad()
    def follow(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context
    ) -> None:
        """Updates the running variance of the error, in expectation where it is censored."""
        if not self.censors or context.bounds is None:
            return
        counted = ~targets.isnan()
        at_bound = counted & (targets >= context.bounds)
        z = (torch.where(at_bound, context.bounds, outputs) - outputs) / self.variance.sqrt()
        log_density = -z.square() / 2 - math.log(math.sqrt(2 * math.pi))
        hazard = (log_density - torch.special.log_ndtr(-z)).exp()
        expected = self.variance * (1 + z * hazard)
        squares = torch.where(at_bound, expected, (outputs - targets).square())
        variance = mean(squares, counted, weights).clamp(min=LEAST_VARIANCE)

        self.batches += 1
        rate = (1 / (self.batches + 1)).clamp(min=SLOWEST)
        self.variance.lerp_(torch.where(counted.any(0), variance, self.variance), rate)

    def predicted(self, outputs: Tensor, dense: Tensor, caps: Tensor | None = None) -> Tensor:
        """The mean of a normal or log-normal quantity, capped or not."""
        if not self.censors:
            return outputs
        if caps is None:
            return torch.where(self.logged, outputs + self.variance * self.spread / 2, outputs)
        # The root, by an operator that packages support.
        deviation = self.variance * self.variance.rsqrt()
        log_normal = self._capped_log_normal(outputs, deviation, caps)
        means = torch.where(self.logged, log_normal, _capped_normal(outputs, deviation, caps))
        return torch.where(self.censored, means, outputs)

    def _capped_log_normal(self, outputs: Tensor, deviation: Tensor, caps: Tensor) -> Tensor:
        """The mean of min(x, cap) of a log-normal x, on the scale of the targets."""
        centre = outputs * self.spread + self.centre  # of log(x), as deviation and cap
        deviation = deviation * self.spread
        cap = (caps * self.spread + self.centre).clamp(max=LARGEST)
        room = (cap - centre) / deviation
        uncapped = (centre + deviation.square() / 2).clamp(max=LARGEST).exp()
        below = _share_below(room - deviation) * uncapped
        at_cap = _share_below(-room) * cap.exp()
        return ((below + at_cap).clamp(min=1e-30).log() - self.centre) / self.spread


def _capped_normal(means: Tensor, deviation: Tensor, caps: Tensor) -> Tensor:
    """The mean of min(x, cap) of a normal x: its mean minus the expected excess over the cap."""
    over = (means - caps).clamp(min=-FAR) / deviation
    density = (-over.square().clamp(max=2 * LARGEST) / 2).exp() / math.sqrt(2 * math.pi)
    return means - deviation * (over.clamp(min=-FAR) * _share_below(over) + density)


def _share_below(z: Tensor) -> Tensor:
    """P(Z < z) of a standard normal Z, by operators that ONNX knows."""
    return (1 + (z / math.sqrt(2)).erf()) / 2


class HuberConfig(Config):
    """Options of `huber`."""

    delta: float = Field(1.0, gt=0, le=100)
    """Error beyond which the loss is linear, in standard deviations of the target."""


class Huber(RegressionLoss):
    """Half the squared error up to `delta`, linear beyond: outliers pull no harder than errors of
    `delta`.
    """

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """Huber's loss of each sample (B, T)."""
        return F.huber_loss(outputs, targets, reduction="none", delta=self.config.delta)


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
        """The pinball loss of each sample (B, T)."""
        if context.bounds is not None:
            outputs = torch.minimum(outputs, context.bounds)
        error, level = targets - outputs, self.config.level
        return torch.maximum(level * error, (level - 1) * error)


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
        self.centre = nn.Buffer(of_scales(schema, "centre"), persistent=False)
        self.spread = nn.Buffer(of_scales(schema, "spread"), persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """The logistic loss of each sample (B, T), minus its minimum."""
        logits = outputs * self.spread + self.centre
        best = targets * self.spread + self.centre
        weight = best.exp()  # 1 + y
        excess = _logistic(logits, weight) - _logistic(best, weight)
        return (excess / self.spread.square()).clamp(min=0)  # rounding error may be negative


def _logistic(logits: Tensor, weight: Tensor) -> Tensor:
    """The log loss of a positive with a weight, and of a negative with weight 1."""
    return weight * F.softplus(-logits) + F.softplus(logits)
