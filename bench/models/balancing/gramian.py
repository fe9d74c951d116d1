"""Aggregations that read a Gramian as gradients, and the optimisation problems they solve.

These are solved exactly by non-negative least squares (Lawson & Hanson 1974, chapter 23) on a T x T
matrix, in microseconds; `moco` moves weights on the simplex by projected steps.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.arrays import Floats
from bench.models.balancing.base import GradientAggregation

# Lower bound of a float32 Gramian's eigenvalues, relative to its trace: rounding hides smaller
# ones. It makes dependent gradients (more tasks than directions, or two opposed ones) just
# independent, which keeps weights bounded.
_ROUNDING = 1e-7
# Relative eigenvalue below which a rule that must ignore dependent directions drops one.
DEPENDENT = 1e-6


@dataclass(frozen=True)
class Gradients:
    """K non-zero gradients in K coordinates, equal to the true ones up to a rotation.

    Norms are kept apart, so gradients of norms 1e-10 and 1e10 are equally precise.

    Attributes:
        directions: (K, K), column i the unit vector of gradient i.
        norms: (K,).
    """

    directions: Floats
    norms: Floats

    @classmethod
    def of(cls, gramian: Floats) -> Gradients:
        """Factors a Gramian (K, K) with a positive diagonal."""
        norms = np.sqrt(gramian.diagonal())
        values, vectors = np.linalg.eigh(gramian / norms / norms[:, None])
        directions = np.sqrt(np.maximum(values, _ROUNDING * values.sum()))[:, None] * vectors.T
        return cls(directions / np.linalg.norm(directions, axis=0), norms)

    def __len__(self) -> int:
        return len(self.norms)

    @property
    def cosines(self) -> Floats:
        """Cosines between all pairs, (K, K)."""
        return np.asarray(self.directions.T @ self.directions)


class GramianAggregation(GradientAggregation):
    """Leaves out tasks whose gradient is zero (no samples in the batch) and gives them weight 1.

    A Gramian that is not finite gives NaN weights, so that a diverged training shows in its loss.
    """

    @abstractmethod
    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Returns the weights (K,) of K >= 1 non-zero gradients; `tasks` (K,) are the indices of
        their tasks.
        """

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,), without gradient."""
        number = torch.finfo(gramian.dtype)
        array = gramian.detach().cpu().double().numpy()
        weights = np.ones(len(array))
        heard = array.diagonal() > 0
        if not np.isfinite(array).all():
            weights[:] = np.nan
        elif heard.any():
            weights[heard] = self.weigh(
                Gradients.of(array[np.ix_(heard, heard)]), np.flatnonzero(heard)
            )
        return torch.from_numpy(weights.clip(number.min, number.max)).to(gramian)


def equal_cosines(gradients: Gradients) -> Floats:
    """Returns c (K,) such that sum_i c_i u_i, with u the unit gradients, has product 1 with each
    u_i.

    Where there is no such c, as with opposed gradients, the least-squares solution; 0 where that is
    0.
    """
    coefficients: Floats = np.linalg.pinv(gradients.cosines, rcond=DEPENDENT, hermitian=True).sum(1)
    return np.where(np.abs(coefficients) > DEPENDENT, coefficients, 0.0)


# of Newton's method, which takes 5 where gradients agree and about 20 where they are opposed
_STEPS = 200
_HALVINGS = 40
_EPSILON = float(np.finfo(np.float64).eps)
_SMALL = (
    1e-8  # relative change by a Newton step after which the next one is below float64's precision
)


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
        exponents = (1 / alpha - 1) * (
            logs - logs.mean()
        )  # a common factor only scales the solution
    start = np.exp(exponents * alpha / (1 + alpha))  # the solution for orthogonal gradients
    hessian = gradients.cosines * np.outer(start, start)
    weight = start * np.exp(exponents) * start ** (-1 / alpha)  # = start^2
    x = np.ones(len(start))

    def value(x: Floats) -> float:
        power = np.log(x) if alpha == 1 else x ** (1 - 1 / alpha) / (1 - 1 / alpha)
        return float(x @ hessian @ x / 2 - weight @ power)

    now, change = value(x), np.inf
    for _ in range(_STEPS):
        slope = hessian @ x - weight * x ** (-1 / alpha)
        curved = hessian + np.diag(weight * x ** (-1 / alpha - 1) / alpha)
        size = np.sqrt(curved.diagonal())
        step = -np.linalg.solve(curved / np.outer(size, size), slope / size) / size
        decrement = -float(slope @ step)
        falling = step < 0
        stride = (
            min(1.0, 0.99 * float((-x[falling] / step[falling]).min())) if falling.any() else 1.0
        )
        if not decrement > _EPSILON * (float(x @ np.abs(hessian) @ x) + abs(now)):
            # Rounding hides the decrease of the value, so the step's size shows progress: it
            # shrinks quadratically down to rounding error.
            before, change = change, float(np.abs(step / x).max())
            if not change < before / 2:
                break
            x = x + stride * step
            if change <= _SMALL:
                break
            now = value(x)
            continue
        for _ in range(_HALVINGS):
            after = value(x + stride * step)
            if after <= now - 1e-4 * stride * decrement:
                break
            stride /= 2
        else:  # no stride lowers the value beyond rounding
            break
        x, now = x + stride * step, after
    x = x * start
    return np.asarray(x / gradients.norms * (gradients.norms.sum() / x.sum()))


def least_distance(directions: Floats, bounds: Floats) -> tuple[Floats, float]:
    """Finds the shortest e with directions^T e >= bounds.

    Args:
        directions: (D, K), in columns.
        bounds: (K,).

    Returns:
        z (K,) >= 0 and r in [0, 1], such that e = directions z / r and |e|^2 = 1 / r - 1. If no e
        satisfies the bounds, r is 0 and z proves it: directions z = 0 and bounds . z > 0.
    """
    target = np.zeros(len(directions) + 1)
    target[-1] = 1.0
    from scipy.optimize import (
        nnls,
    )  # the import takes a quarter of a second, and only these balancers need it

    z, _ = nnls(np.vstack([directions, bounds]), target)
    return z, max(0.0, 1.0 - float(bounds @ z))


def project(point: Tensor, mass: float) -> Tensor:
    """Projects a point (K,) onto the simplex w >= 0, sum_i w_i = mass; Held, Wolfe & Crowder
    1974.
    """
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - mass) / torch.arange(1, len(point) + 1, device=point.device)
    return (point - excess[int((ordered > excess).sum()) - 1]).clamp(min=0.0)


def mass_of(weights: Tensor, everyone: int) -> float:
    """Sum of the heard tasks' weights (K,); K / T if it is 0."""
    mass = float(weights.sum())
    return mass if mass > 1e-9 else len(weights) / everyone
