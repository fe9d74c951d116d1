"""What Nash-MTL and FairGrad have in common: weights a > 0 with G a = a^(-1 / alpha), entry by entry."""

from __future__ import annotations

import numpy as np

from bench.balancing.gramian import Array, Gradients

_STEPS = 200  # of Newton's method, which takes 5 where gradients agree and about 20 where they oppose each other
_HALVINGS = 40
_EPSILON = float(np.finfo(np.float64).eps)
_SMALL = 1e-8  # relative change by a Newton step after which the next would change nothing that float64 can hold


def bargain(gradients: Gradients, alpha: float) -> Array:
    """The solution a (K,), scaled such that sum_i a_i |g_i| = sum_i |g_i|.

    With x_i = a_i |g_i| and r_i = |g_i|^(1 / alpha - 1), it is where x . C x / 2 - sum_i r_i phi(x_i) is least over
    x > 0, with C the cosines and phi' = x^(-1 / alpha): a convex problem, solved by Newton's method with a search
    along its direction.
    """
    if alpha == 1:
        exponents = np.zeros(len(gradients))
    else:
        logs = np.log(gradients.lengths)
        exponents = (1 / alpha - 1) * (logs - logs.mean())  # a common factor scales the solution alone
    start = np.exp(exponents * alpha / (1 + alpha))  # the solution where no two gradients have anything in common
    hessian = gradients.cosines * np.outer(start, start)
    weight = start * np.exp(exponents) * start ** (-1 / alpha)  # = start^2
    x = np.ones(len(start))

    def value(x: Array) -> float:
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
        length = min(1.0, 0.99 * float((-x[falling] / step[falling]).min())) if falling.any() else 1.0
        if not decrement > _EPSILON * (float(x @ np.abs(hessian) @ x) + abs(now)):
            # Rounding hides by how much the value falls, so only the steps can show progress. They shrink
            # quadratically until rounding is all that is left of them.
            before, change = change, float(np.abs(step / x).max())
            if not change < before / 2:
                break
            x = x + length * step
            if change <= _SMALL:
                break
            now = value(x)
            continue
        for _ in range(_HALVINGS):
            after = value(x + length * step)
            if after <= now - 1e-4 * length * decrement:
                break
            length /= 2
        else:  # rounding is all that is left
            break
        x, now = x + length * step, after
    x = x * start
    weights: Array = x / gradients.lengths * (gradients.lengths.sum() / x.sum())
    return weights
