"""The squared error, and for censored labels Tobit's likelihood."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.losses.base import Context, RegressionLoss, mean, of_scales

SLOWEST = 0.02
"""Smallest weight of the newest batch in the running variance."""
LEAST_VARIANCE = 1e-4
"""Lower bound of the variance; targets have variance 1."""
LARGEST, FAR = 80.0, 1e6
"""Upper bounds of a logarithm whose exp fits into float32, and of deviations."""


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
            constants = (
                censored,
                censored & of_scales(schema, "log"),
                *(of_scales(schema, x) for x in ("centre", "spread")),
            )
            buffers = (nn.Buffer(each, persistent=False) for each in constants)
            self.censored, self.logged, self.centre, self.spread = buffers
            self.variance = nn.Buffer(torch.ones(len(censored)))
            self.batches: Tensor = nn.Buffer(torch.zeros(()))

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
    def follow(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context
    ) -> None:
        """See `RegressionLoss.follow`: the running variance of the error, in expectation where it
        is censored.
        """
        if not self.censors or context.bounds is None:
            return
        known = ~targets.isnan()
        above = known & (targets >= context.bounds)
        z = (torch.where(above, context.bounds, outputs) - outputs) / self.variance.sqrt()
        hazard = (
            -z.square() / 2 - math.log(math.sqrt(2 * math.pi)) - torch.special.log_ndtr(-z)
        ).exp()
        squares = torch.where(above, self.variance * (1 + z * hazard), (outputs - targets).square())
        self.batches += 1
        variance = mean(squares, known, weights).clamp(min=LEAST_VARIANCE)
        rate = (1 / (self.batches + 1)).clamp(min=SLOWEST)
        self.variance.lerp_(torch.where(known.any(0), variance, self.variance), rate)

    def predicted(self, outputs: Tensor, dense: Tensor, caps: Tensor | None = None) -> Tensor:
        """See `RegressionLoss.predicted`: the mean of a normal or log-normal quantity, capped or
        not.
        """
        if not self.censors:
            return outputs
        if caps is None:
            return torch.where(self.logged, outputs + self.variance * self.spread / 2, outputs)
        # the root, by an operator that packages support
        own = self.variance * self.variance.rsqrt()
        # Centre, deviation and bound of the logarithm of a log-normal quantity.
        centre, deviation = outputs * self.spread + self.centre, own * self.spread
        most = (caps * self.spread + self.centre).clamp(max=LARGEST)
        room = (most - centre) / deviation
        below = (
            _share_below(room - deviation)
            * (centre + deviation.square() / 2).clamp(max=LARGEST).exp()
        )
        capped = (
            (below + _share_below(-room) * most.exp()).clamp(min=1e-30).log() - self.centre
        ) / self.spread
        # A normal quantity: its mean minus the expected excess over the bound.
        over = (outputs - caps).clamp(min=-FAR) / own
        density = (-over.square().clamp(max=2 * LARGEST) / 2).exp() / math.sqrt(2 * math.pi)
        plain = outputs - own * (over.clamp(min=-FAR) * _share_below(over) + density)
        return torch.where(self.censored, torch.where(self.logged, capped, plain), outputs)


def _share_below(z: Tensor) -> Tensor:
    """P(Z < z) of a standard normal Z, by operators that ONNX knows."""
    return (1 + (z / math.sqrt(2)).erf()) / 2
