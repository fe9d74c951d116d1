"""How much hypervolume values are expected to add to a front, for any number of objectives; larger is better.

With one objective or two the hypervolume that a point adds is exact: of two, a sum over the strips between the front's
points. With more it is, in polar coordinates around an origin and up to a constant, the mean over directions d in the
positive orthant of max over points of min over objectives of (max(0, y - r) / d)^M (Deng and Zhang 2019; Zhang and
Golovin, ICML 2020). What a point adds is the same mean of what it is ahead of the front, all directions at once.
"""

from __future__ import annotations

import numpy as np

from bench.search.encoding import Floats

DIRECTIONS = 96


def directions(objectives: int) -> Floats:
    """Unit vectors in the positive orthant, spread evenly: (DIRECTIONS, M). The same in every call."""
    normal = np.abs(np.random.default_rng(0).normal(size=(DIRECTIONS, objectives)))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def reach(gains: Floats, of: Floats) -> Floats:
    """How far points reach in each direction, to the power of M: gains (.., M) -> (.., directions)."""
    ahead = np.maximum(gains, 0.0)
    nearest = ahead[..., 0, None] / of[:, 0]
    for objective in range(1, of.shape[1]):
        np.minimum(nearest, ahead[..., objective, None] / of[:, objective], out=nearest)
    nearest **= of.shape[1]
    return np.asarray(nearest)


def expected(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """What points add on average.

    Args:
        samples: (S, N, M) of N points' values.
        front: (F, M).
        reference: (M,).

    Returns:
        (N,), in units that are the same for all points.
    """
    front = front[(front > reference).all(axis=1)]
    if len(reference) == 1:
        return np.asarray((samples[..., 0] - front.max(initial=reference[0])).clip(0).mean(axis=0))
    if len(reference) == 2:
        return _strips(samples, front[np.argsort(front[:, 0])], reference)
    # Around the origin the front fills few directions where it is far: so the origin is as near as its own range.
    low, high = (front.min(axis=0), front.max(axis=0)) if len(front) else (reference, reference + 1)
    origin = np.maximum(reference, low - (high - low))
    span, of = np.maximum(high - origin, 1e-12), directions(len(reference))
    there = reach((front - origin) / span, of).max(axis=0) if len(front) else np.zeros(len(of))
    ahead = reach((samples - origin) / span, of)
    ahead -= there
    return np.asarray(np.maximum(ahead, 0.0, out=ahead).mean(axis=(0, 2)))


def _strips(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """Of two objectives; the front rises by the first."""
    left = np.concatenate([reference[:1], front[:, 0]])
    covered = np.append(np.maximum.accumulate(front[::-1, 1])[::-1], reference[1])
    width = np.minimum(samples[..., 0, None], np.append(left[1:], np.inf))
    width -= left
    height = samples[..., 1, None] - covered
    np.maximum(width, 0.0, out=width)
    np.maximum(height, 0.0, out=height)
    return np.asarray(np.einsum("snf,snf->n", width, height) / len(samples))


def merit(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """As `expected`; below 0 where no sample adds anything, and the more so, the further the best of them is from it.

    So there is an order among candidates whose improvement is too unlikely to be seen in a few samples.
    """
    gains = expected(samples, front, reference)
    none = np.flatnonzero(gains <= 0)
    best = samples[:, none].max(axis=0)
    span = np.ptp(front, axis=0) + 1e-3 * np.abs(front - reference).max(axis=0) + 1e-12
    # By how much all objectives together would have to rise to be dominated by nothing (the additive epsilon).
    behind = ((front - best[:, None]) / span).min(axis=2).max(axis=1)
    behind = np.maximum(behind, ((reference - best) / span).max(axis=1))
    gains[none] = -np.exp(np.clip(behind, -50, 50))
    return gains
