"""Bargaining solutions: Nash-MTL, and its generalisation FairGrad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.gramian import Gradients, GramianAggregation

_STEPS = 200
"""Of Newton's method, which takes 5 where gradients agree and about 20 where they are opposed."""
_HALVINGS = 40
_EPSILON = float(np.finfo(np.float64).eps)
_SMALL = 1e-8
"""Relative change by a Newton step after which the next one is below float64's precision."""


class NashMTL(GramianAggregation):
    """The direction of the Nash bargaining solution: weights a > 0 with G a = 1 / a (Navon et al.,
    ICML 2022).

    The direction does not depend on the scales of the tasks. Weights are scaled to sum_i w_i |g_i|
    = sum_i |g_i|, and also multiply the towers' gradients, as in the authors' code, which weights
    losses.
    """

    weighs_own = True

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) > 0."""
        return bargain(gradients, 1.0)


class FairGradConfig(Config):
    """Options of FairGrad."""

    alpha: float = Field(2.0, ge=0.1, le=10)
    """Fairness: near 0 only the total progress counts, 1 is Nash-MTL, and large values favour the
    task that gains least."""


class FairGrad(GramianAggregation):
    """Weights a > 0 with G a = a^(-1 / alpha) (Ban & Ji, ICML 2024), scaled and applied to towers
    as in `nash_mtl`.
    """

    weighs_own = True
    config: FairGradConfig

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) > 0."""
        return bargain(gradients, self.config.alpha)


def bargain(gradients: Gradients, alpha: float) -> Floats:
    """Solves G a = a^(-1 / alpha) for a (K,) > 0, scaled such that sum_i a_i |g_i| = sum_i |g_i|.

    With x_i = a_i |g_i| and r_i = |g_i|^(1 / alpha - 1), this minimises x . C x / 2 - sum_i r_i
    phi(x_i) over x > 0, with C the cosines and phi' = x^(-1 / alpha): a convex problem, solved by
    Newton's method with a line search.
    """
    if alpha == 1:
        exponents = np.zeros(len(gradients))
    else:
        logs = np.log(gradients.norms)
        # A common factor only scales the solution.
        exponents = (1 / alpha - 1) * (logs - logs.mean())
    start = np.exp(exponents * alpha / (1 + alpha))  # the solution for orthogonal gradients
    problem = _Problem(
        hessian=gradients.cosines * np.outer(start, start),
        weight=start * np.exp(exponents) * start ** (-1 / alpha),  # = start^2
        alpha=alpha,
    )
    x = problem.minimum() * start
    return np.asarray(x / gradients.norms * (gradients.norms.sum() / x.sum()))


@dataclass(frozen=True)
class _Problem:
    """Minimises x . H x / 2 - weight . phi(x) over x (K,) > 0, from 1 on."""

    hessian: Floats
    weight: Floats
    alpha: float

    def minimum(self) -> Floats:
        """Newton's method."""
        x: Floats = np.ones(len(self.weight))
        value, change = self.value(x), np.inf
        for _ in range(_STEPS):
            slope = self.hessian @ x - self.weight * x ** (-1 / self.alpha)
            step = self.newton_step(x, slope)
            decrement = -float(slope @ step)
            stride = _stride_within(x, step)
            rounding = _EPSILON * (float(x @ np.abs(self.hessian) @ x) + abs(value))
            if not decrement > rounding:
                # Rounding hides the decrease of the value, so the step's size shows progress: it
                # shrinks quadratically down to rounding error.
                last_change, change = change, float(np.abs(step / x).max())
                if not change < last_change / 2:
                    break
                x = x + stride * step
                if change <= _SMALL:
                    break
                value = self.value(x)
                continue
            for _ in range(_HALVINGS):
                next_value = self.value(x + stride * step)
                if next_value <= value - 1e-4 * stride * decrement:
                    break
                stride /= 2
            else:  # no stride lowers the value beyond rounding
                break
            x, value = x + stride * step, next_value
        return x

    def value(self, x: Floats) -> float:
        """Where phi' = x^(-1 / alpha)."""
        square = x @ self.hessian @ x / 2
        if self.alpha == 1:
            return float(square - self.weight @ np.log(x))
        power = 1 - 1 / self.alpha
        return float(square - self.weight @ (x**power / power))

    def newton_step(self, x: Floats, slope: Floats) -> Floats:
        """Solved with a diagonal of 1."""
        curvature = self.weight * x ** (-1 / self.alpha - 1) / self.alpha
        hessian = self.hessian + np.diag(curvature)
        scale = np.sqrt(hessian.diagonal())
        return -np.linalg.solve(hessian / np.outer(scale, scale), slope / scale) / scale


def _stride_within(x: Floats, step: Floats) -> float:
    """At most 1, and less than what brings a coordinate to 0."""
    falling = step < 0
    if not falling.any():
        return 1.0
    return min(1.0, 0.99 * float((-x[falling] / step[falling]).min()))
