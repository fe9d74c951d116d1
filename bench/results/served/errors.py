"""Joint errors of serving points, from seeds of trainings and from measured rows.

A candidate's serving points share its replicates, so its seeds move all of them together. Two or three replicates
hardly show how, but all candidates together do. The effect of a seed on the outcomes along a sweep has one shape: the
pooled covariance over (setting, outcome). Each candidate has a size of its own, shrunk to the common one
(`bench.results.samples`). If candidates share seeds, a part of the effect is common to them. Rows are drawn from the
Poisson resamples, which are the same for every point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv

from bench.core.arrays import Floats
from bench.results.samples import moderated

FEW_UNITS = 100
"""Units, fewer than which have larger errors than resamples show."""
MOST_ALIKE = 0.98
"""The largest correlation of a seed's effects on two candidates."""


@dataclass(frozen=True)
class Seeds:
    """Effects of seeds on C candidates under K settings in M outcomes.

    Attributes:
        seeds: of each candidate's replicates; empty where nothing was trained.
        shape: (J, K, M), deviations of all replicates from their candidates' means, over the root of their degrees of
            freedom: shape' shape is the pooled covariance of one replicate.
        size: (C, M), each candidate's standard deviation, over the pooled one; 0 where it does not depend on the seed.
        freedom: (C,) degrees of freedom of a candidate's variances.
        level: those of the variance of what is common on a seed.
        alike: (M,), the correlation of what one seed does to two candidates.
        twin: (C,), the first candidate with the same values on the same seeds: what is not common is so to twins.
        together: whether all sizes are one and the same.
    """

    seeds: tuple[tuple[int, ...], ...]
    shape: Floats
    size: Floats
    freedom: Floats
    level: float
    alike: Floats
    twin: NDArray[np.int64]
    together: bool


def seeds_of(values: Sequence[Floats], seeds: Sequence[tuple[int, ...]]) -> Seeds | None:
    """Learnt from the values (n, K, M) of each candidate's n replicates, and their seeds.

    A candidate of one replicate is taken to be as the others are; one without seeds, such as a column of the log, or
    with two or more replicates that are all equal, does not depend on the seed.

    Returns:
        None where no candidate has two replicates, so that nothing is known of seeds.
    """
    count, (_, k, m) = len(values), values[0].shape
    apart = [np.nan_to_num(each - each.mean(axis=0)) for each in values]
    fixed = np.array([not own or (len(each) > 1 and not (each != each[0]).any())
                      for own, each in zip(seeds, values, strict=True)])  # fmt: skip
    freedom = np.array([0 if still else len(each) - 1 for still, each in zip(fixed, values, strict=True)])
    total = int(freedom.sum())
    if not any(len(each) > 1 for each in values):
        return None
    used = [each for each, own in zip(apart, freedom, strict=True) if own]
    shape = np.concatenate(used) / np.sqrt(total) if used else np.zeros((1, k, m))
    pooled = (shape**2).sum(axis=0)  # (K, M)
    scaled = [each / np.where(pooled > 0, np.sqrt(pooled), 1.0) for each in apart]
    own = np.array([(each**2).sum(axis=0).mean(axis=0) / max(1, n) for each, n in zip(scaled, freedom, strict=True)])
    alike, both = _alike(scaled, seeds, freedom)
    level = total**2 / (total + both * float(alike.max()) ** 2) if total else np.inf
    many = int((freedom > 0).sum())
    apart_freedom = total * (1 - 1 / many) if both and many > 1 else float(total)  # as of a two-way layout
    size, known, together = np.ones((count, m)), np.full((count, m), max(apart_freedom, 1.0)), True
    for at in range(m):
        rank = _rank(shape[..., at])
        drawn, strength, same = moderated(own[:, at], np.round(freedom * rank).astype(int), 1.0, total * rank)
        size[:, at] = np.where(fixed, 0.0, np.sqrt(drawn))
        if not same:
            known[:, at] = 1 / (1 / max(apart_freedom, 1.0) + 1 / np.maximum(strength, 1e-9))
            together = False
    first: dict[tuple[tuple[int, ...], bytes], int] = {}
    pairs = enumerate(zip(seeds, values, strict=True))
    return Seeds(
        seeds=tuple(seeds),
        shape=shape,
        size=size,
        freedom=np.maximum(known.min(axis=1), 1.0),
        level=float(max(level, 1.0)),
        alike=alike,
        twin=np.array([first.setdefault((own, each.tobytes()), at) for at, (own, each) in pairs]),
        together=together,
    )


@dataclass(frozen=True)
class Points:
    """S measured serving points on one set of rows.

    Attributes:
        of: (S,), the candidate of each.
        at: (S,), its place among the settings.
        values: by point, (n, M) outcomes of its replicates.
        moved: (B, S, M), how far the mean over replicates moves on each resample; B is 0 where rows were not resampled.
        own: (S, M), variance over resamples of one replicate's deviation from that of its candidate's others.
        units: how many are resampled.
    """

    of: NDArray[np.int64]
    at: NDArray[np.int64]
    values: tuple[Floats, ...]
    moved: Floats
    own: Floats
    units: float = np.inf

    @property
    def means(self) -> Floats:
        """(S, M), over replicates."""
        return np.array([each.mean(axis=0) for each in self.values])


def on_more_rows(points: Points, seeds: Seeds | None, share: float, within: float | Floats) -> Points:
    """Points with the errors of rows that they have where more rows measure them.

    Args:
        share: of the standard deviation.
        within: of what moves a candidate's points, and those of its twins, apart; not of what moves them together. One
            number, or by outcome (M,).
    """
    moved, of = points.moved.copy(), points.of if seeds is None else seeds.twin[points.of]
    for candidate in np.unique(of).tolist():
        own = of == candidate
        level = np.nan_to_num(moved[:, own]).mean(axis=1, keepdims=True)
        moved[:, own] = share * (level + within * (moved[:, own] - level))
    return replace(points, moved=moved)


def draws_of(points: Points, seeds: Seeds | None, seed: int, draws: int) -> Floats:
    """Draws (draws, S, M) of the true outcomes, about the means, with a flat prior.

    `draws` is even: each error comes with its mirror image. Outcomes are shares: draws stay between 0 and 1. On other
    rows than those that the shape was learnt from, seeds may do more or less: it is scaled, by outcome, to the
    deviations seen here, less what resamples show already. Their scale is spread as in Student's t.

    Args:
        seeds: None leaves out what they do.
        seed: of the random numbers; of seeds and rows apart, so that two splits can have the same draws of seeds.
    """
    half = draws // 2
    noise = np.zeros((half, *points.means.shape))
    if points.moved.shape[0] > 1:
        known = np.isfinite(points.moved)  # an outcome that a segment has too few positives for is not known anywhere
        middle = np.where(known, points.moved, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        moved = np.where(known, points.moved - middle, 0)
        b = len(moved)
        whole = np.random.default_rng([seed, 1]).standard_normal((half, b)) @ moved.reshape(b, -1)
        noise += whole.reshape(noise.shape) / np.sqrt(b - 1) * _few(points.units, seed, half)
    if seeds is not None:
        noise += _seed_draws(points, seeds, seed, half)
    drawn = _bounded(points.means, np.concatenate([noise, -noise]))
    nothing = points.means == 0
    return np.where(nothing, _of_nothing(points, seed, half)[:, None], drawn) if nothing.any() else drawn


def _of_nothing(points: Points, seed: int, half: int) -> Floats:
    """(2 half, M) draws of an outcome of which these rows show nothing: no resample shows more than 0 of it.

    As of a share of which none of n was seen: Beta(1/2, n + 1/2) by Jeffreys' prior. n is what the errors of the other
    points are worth: v (1 - v) over their variance, the median. Where that is unknown, 0 stays.
    """
    values, spread = points.means, points.moved.var(axis=0) if len(points.moved) > 1 else np.zeros_like(points.means)
    levels = np.random.default_rng([seed, 4]).random((half, values.shape[1]))
    drawn = np.zeros((2 * half, values.shape[1]))
    for at in range(values.shape[1]):
        known = (spread[:, at] > 0) & (values[:, at] > 0) & (values[:, at] < 1)
        if known.any():
            n = float(np.median(values[known, at] * (1 - values[known, at]) / spread[known, at]))
            drawn[:, at] = np.concatenate([betaincinv(0.5, n + 0.5, own) for own in (levels[:, at], 1 - levels[:, at])])
    return drawn


def _few(units: float, seed: int, half: int) -> Floats | float:
    """By how much the errors of few units are larger than resamples show: with n of them the variance is n - 1 over n
    of the true one, and known as well as by n - 1 degrees of freedom."""
    if units >= FEW_UNITS:
        return 1.0
    freedom = max(1.0, units - 1)
    levels = np.random.default_rng([seed, 3]).random(half)
    return np.asarray(np.sqrt(units / freedom) * _spread(freedom, levels))[:, None, None]


def _bounded(means: Floats, noise: Floats) -> Floats:
    """Means plus noise; beyond half the room to 0 or to 1 noise is drawn in, and leaves a fortieth of the room.

    Differences from a point are told as fractions of it. So no draw may come near 0, as many of two seeds would, whose
    errors have the tails of a Cauchy distribution.
    """
    room = np.maximum(np.where(noise < 0, means, 1 - means), 1e-9)
    size = np.abs(noise) / room
    drawn = np.where(size < 0.5, size, 1 - 0.5 * np.exp(-np.clip(2 * size - 1, 0, 3)))
    return np.asarray(means + np.sign(noise) * drawn * room)


def _seed_draws(points: Points, seeds: Seeds, seed: int, half: int) -> Floats:
    """(half, S, M) errors of means from what seeds do."""
    scale, alike = _scale(points, seeds)
    shape = seeds.shape[:, points.at] * scale  # (J, S, M)
    rank, rng = len(shape), np.random.default_rng([seed, 0])
    names = [name for own in seeds.seeds for name in own]
    shared = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    common = {name: rng.standard_normal((half, rank)) for name in shared}
    level, together = _spread(seeds.level, rng.random(half)), rng.random(half)
    drawn = np.zeros((half, *points.means.shape))
    for candidate in np.unique(points.of).tolist():
        mine = np.flatnonzero(points.of == candidate)
        lone = np.random.default_rng([seed, 2, int(seeds.twin[candidate])])
        alone, own = lone.standard_normal((2, half, rank))
        spread = _spread(float(seeds.freedom[candidate]), together if seeds.together else lone.random(half))
        n = len(points.values[mine[0]])
        with_others = [common[name] for name in seeds.seeds[candidate] if name in common]
        part = alike if with_others else np.zeros_like(alike)
        both = sum(with_others, np.sqrt(max(0, n - len(with_others))) * own) / n
        for weights, share in ((both * level[:, None], part), (alone * spread[:, None] / np.sqrt(n), 1 - part)):
            if share.any():
                errors = (weights @ shape[:, mine].reshape(rank, -1)).reshape(half, len(mine), -1)
                drawn[:, mine] += errors * np.sqrt(share) * seeds.size[candidate]
    return drawn


def _scale(points: Points, seeds: Seeds) -> tuple[Floats, Floats]:
    """(M,) the factor of deviations on these rows, and the part that candidates have in common on a seed.

    The variance over resamples is subtracted from both: each replicate has errors of its own on the rows.
    """
    seen, rows, expected = (np.zeros(points.own.shape[1]) for _ in range(3))
    pooled = (seeds.shape**2).sum(axis=0)
    for of, at, values, own in zip(points.of, points.at, points.values, points.own, strict=True):
        n = len(values)
        if n > 1 and seeds.size[of].any():
            seen += np.nan_to_num(((values - values.mean(axis=0)) ** 2).sum(axis=0))
            rows += (n - 1) * np.nan_to_num(own)
            expected += (n - 1) * seeds.size[of] ** 2 * pooled[at]
    left = np.maximum(seen - rows, 0)
    scale = np.sqrt(np.divide(left, expected, out=np.zeros_like(left), where=expected > 0))
    alike = np.divide(seeds.alike * seen, left, out=np.zeros_like(left), where=left > 0)
    return scale, alike.clip(0, MOST_ALIKE)


def _spread(freedom: float, levels: Floats) -> Floats:
    """By how much a standard deviation may differ from its estimate: Student's t is a Gaussian times this."""
    if not np.isfinite(freedom):
        return np.ones_like(levels)
    return np.asarray(np.sqrt(freedom / (2 * gammaincinv(freedom / 2, levels))))


def _alike(
    scaled: Sequence[Floats], seeds: Sequence[tuple[int, ...]], freedom: NDArray[np.int64]
) -> tuple[Floats, int]:
    """(M,) correlation of what one seed does to two candidates, and of how many degrees of freedom pairs are."""
    m = scaled[0].shape[-1]
    across, within, both = np.zeros(m), np.zeros(m), 0
    places = [{name: at for at, name in enumerate(own)} for own in seeds]
    for i, j in permutations(np.flatnonzero(freedom).tolist(), 2):
        names = sorted(places[i].keys() & places[j].keys())
        if len(names) > 1:
            a = scaled[i][[places[i][name] for name in names]]
            b = scaled[j][[places[j][name] for name in names]]
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
            across += (a * b).sum(axis=(0, 1))
            within += np.sqrt((a**2).sum(axis=(0, 1)) * (b**2).sum(axis=(0, 1)))
            both += len(names) - 1
    correlation = np.divide(across, within, out=np.zeros(m), where=within > 0)
    return correlation.clip(0, MOST_ALIKE), both


def _rank(shape: Floats) -> float:
    """How many independent settings the K of a shape (J, K) are worth: the participation ratio of their correlation."""
    norm = np.sqrt((shape**2).sum(axis=0))
    scaled = shape[:, norm > 0] / norm[norm > 0]
    gram = scaled @ scaled.T
    return float(np.trace(gram) ** 2 / max(float((gram**2).sum()), 1e-30)) if gram.size and scaled.size else 1.0
