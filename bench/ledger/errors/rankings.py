"""Joint errors of serving points, from seeds of trainings and from measured rows.

A candidate's serving points share its replicates, so its seeds move all of them together. Two or
three replicates hardly show how, but all candidates together do. The effect of a seed on the
outcomes along a sweep has one shape: the pooled covariance over (setting, outcome). Each candidate
has a size of its own, shrunk to the common one (`bench.ledger.errors.seed_noise`). If candidates
share
seeds, a part of the effect is common to them. Rows are drawn from the Poisson resamples, which are
the same for every point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress, permutations

import numpy as np
from scipy.special import betaincinv

from bench.core.arrays import Floats, Ints, Mask
from bench.ledger.errors.evidence import Evidence, means_of
from bench.ledger.errors.seed_noise import moderated, spread_of

FEW_UNITS = 100
"""Units, fewer than which have larger errors than resamples show."""
MOST_ALIKE = 0.98
"""The largest correlation of a seed's effects on two candidates."""


@dataclass(frozen=True)
class Seeds:
    """Effects of seeds on C candidates under K settings in M outcomes.

    Attributes:
        seeds: of each candidate's replicates; empty where nothing was trained.
        shape: (J, K, M), deviations of all replicates from their candidates' means, over the root
            of their degrees of freedom: shape' shape is the pooled covariance of one replicate.
        sizes: how large the effects on each candidate are.
        level_freedom: degrees of freedom of the variance of what is common on a seed.
        correlation: (M,), of what one seed does to two candidates.
        twin: (C,), the first candidate with the same values on the same seeds: what is not common
            is so to twins.
    """

    seeds: tuple[tuple[int, ...], ...]
    shape: Floats
    sizes: Sizes
    level_freedom: float
    correlation: Floats
    twin: Ints


@dataclass(frozen=True)
class Sizes:
    """How large the effects of seeds on C candidates are in M outcomes.

    Attributes:
        size: (C, M), each candidate's standard deviation, over the pooled one; 0 where it does not
            depend on the seed.
        freedom: (C,) degrees of freedom of a candidate's variances.
        equal: whether all sizes are one and the same.
    """

    size: Floats
    freedom: Floats
    equal: bool


@dataclass(frozen=True)
class Shared:
    """What candidates have in common on seeds that they share.

    Attributes:
        correlation: (M,), of what one seed does to two candidates.
        freedom: degrees of freedom of all pairs of candidates.
    """

    correlation: Floats
    freedom: int


def seeds_of(values: Sequence[Floats], seeds: Sequence[tuple[int, ...]]) -> Seeds | None:
    """Learnt from the values (n, K, M) of each candidate's n replicates, and their seeds.

    A candidate of one replicate is taken to be as the others are; one without seeds, such as a
    column of the log, or with two or more replicates that are all equal, does not depend on the
    seed.

    Returns:
        None where no candidate has two replicates, so that nothing is known of seeds.
    """
    if all(len(outcomes) == 1 for outcomes in values):
        return None
    fixed = np.array(list(map(_is_fixed, values, seeds)))
    replicates = np.array([len(outcomes) for outcomes in values])
    freedom = np.where(fixed, 0, replicates - 1)
    total = int(freedom.sum())
    deviations = [np.nan_to_num(outcomes - outcomes.mean(axis=0)) for outcomes in values]
    shape = _pooled(deviations, freedom)
    pooled = (shape**2).sum(axis=0)  # (K, M)
    unit = np.where(pooled > 0, np.sqrt(pooled), 1.0)
    scaled = [deviation / unit for deviation in deviations]
    shared = _shared(scaled, seeds, freedom)
    level_freedom = np.inf
    if total:
        level_freedom = total**2 / (total + shared.freedom * float(shared.correlation.max()) ** 2)
    return Seeds(
        seeds=tuple(seeds),
        shape=shape,
        sizes=_sizes(scaled, shape, fixed, freedom, shared),
        level_freedom=float(max(level_freedom, 1.0)),
        correlation=shared.correlation,
        twin=_twins(values, seeds),
    )


def _is_fixed(outcomes: Floats, seeds: tuple[int, ...]) -> bool:
    """Whether a candidate does not depend on the seed."""
    return not seeds or (len(outcomes) > 1 and bool((outcomes == outcomes[0]).all()))


def _pooled(deviations: Sequence[Floats], freedom: Ints) -> Floats:
    """(J, K, M), see `Seeds.shape`."""
    replicated = list(compress(deviations, freedom > 0))
    if not replicated:
        return np.zeros((1, *deviations[0].shape[1:]))
    return np.asarray(np.concatenate(replicated) / np.sqrt(freedom.sum()))


def _sizes(
    scaled: Sequence[Floats], shape: Floats, fixed: Mask, freedom: Ints, shared: Shared
) -> Sizes:
    """Each candidate's size in each outcome, shrunk to the common one.

    Args:
        scaled: by candidate deviations (n, K, M) over the pooled standard deviation.
    """
    total, replicated = int(freedom.sum()), int((freedom > 0).sum())
    total_freedom = float(total)
    if shared.freedom and replicated > 1:
        total_freedom = total * (1 - 1 / replicated)  # as of a two-way layout
    total_freedom = max(total_freedom, 1.0)
    variances = np.zeros((len(scaled), shape.shape[2]))
    for candidate, deviations in enumerate(scaled):
        squares = (deviations**2).sum(axis=0)  # (K, M)
        variances[candidate] = squares.mean(axis=0) / max(freedom[candidate], 1)
    size, size_freedom = np.ones_like(variances), np.full(variances.shape, total_freedom)
    equal = True
    for outcome in range(variances.shape[1]):
        rank = _rank(shape[..., outcome])
        effective = np.round(freedom * rank).astype(int)
        drawn = moderated(variances[:, outcome], effective, 1.0, total * rank)
        size[:, outcome] = np.where(fixed, 0.0, np.sqrt(drawn.variances))
        if not drawn.equal:
            strength = np.maximum(drawn.freedom, 1e-9)
            size_freedom[:, outcome] = 1 / (1 / total_freedom + 1 / strength)
            equal = False
    return Sizes(size, np.maximum(size_freedom.min(axis=1), 1.0), equal)


def _twins(values: Sequence[Floats], seeds: Sequence[tuple[int, ...]]) -> Ints:
    """(C,), the first candidate with the same values on the same seeds."""
    first: dict[tuple[tuple[int, ...], bytes], int] = {}
    twins = []
    for candidate, outcomes in enumerate(values):
        key = seeds[candidate], outcomes.tobytes()
        twins.append(first.setdefault(key, candidate))
    return np.array(twins)


@dataclass(frozen=True)
class Rankings:
    """S measured serving points on one set of rows.

    Attributes:
        candidates: (S,), the candidate of each.
        settings: (S,), its place among the settings.
        evidence: of each.
        units: how many are resampled.
    """

    candidates: Ints
    settings: Ints
    evidence: tuple[Evidence, ...]
    units: float = np.inf

    @property
    def means(self) -> Floats:
        """(S, M), over replicates."""
        return means_of(self.evidence)

    @property
    def moves(self) -> Floats:
        """(B, S, M), how far the mean over replicates moves on each resample; B is 0 where rows
        were not resampled.
        """
        return np.stack([point.mean_moves for point in self.evidence], axis=1)


def moves_on_more_rows(
    rankings: Rankings, seeds: Seeds | None, share: float, spread: float | Floats
) -> Floats:
    """Moves as of `Rankings.moves`, with the errors of rows that points have where more rows
    measure them.

    Args:
        share: of the standard deviation.
        spread: of what moves a candidate's points, and those of its twins, apart; not of what moves
            them together. One number, or by outcome (M,).
    """
    moves = rankings.moves
    families = rankings.candidates if seeds is None else seeds.twin[rankings.candidates]
    for family in np.unique(families).tolist():
        members = families == family
        level = np.nan_to_num(moves[:, members]).mean(axis=1, keepdims=True)
        moves[:, members] = share * (level + spread * (moves[:, members] - level))
    return moves


def draws_of(
    rankings: Rankings, seeds: Seeds | None, seed: int, draws: int, moves: Floats | None = None
) -> Floats:
    """Draws (draws, S, M) of the true outcomes, about the means, with a flat prior.

    `draws` is even: each error comes with its mirror image. Outcomes are shares: draws stay between
    0 and 1. On other rows than those that the shape was learnt from, seeds may do more or less: it
    is scaled, by outcome, to the deviations seen here, minus what resamples show already. Their
    scale is spread as in Student's t.

    Args:
        seeds: None leaves out what they do.
        seed: of the random numbers; of seeds and rows apart, so that two splits can have the same
            draws of seeds.
        moves: (B, S, M), in place of the rankings' own.
    """
    half, means = draws // 2, rankings.means
    moves = rankings.moves if moves is None else moves
    noise = np.zeros((half, *means.shape))
    if len(moves) > 1:
        noise += _row_draws(moves, rankings.units, seed, half)
    if seeds is not None:
        noise += _seed_draws(rankings, seeds, seed, half)
    drawn = _bounded(means, np.concatenate([noise, -noise]))
    nothing = means == 0
    if nothing.any():
        return np.where(nothing, _of_nothing(means, moves, seed, half)[:, None], drawn)
    return drawn


def _row_draws(moves: Floats, units: float, seed: int, half: int) -> Floats:
    """(half, S, M) errors of means from the rows that they are measured on."""
    # an outcome that a segment has too few positives for is not known anywhere
    defined = np.isfinite(moves)
    middle = np.where(defined, moves, 0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
    centred = np.where(defined, moves - middle, 0)
    resamples = len(moves)
    normal = np.random.default_rng([seed, 1]).standard_normal((half, resamples))
    errors = (normal @ centred.reshape(resamples, -1)).reshape(half, *moves.shape[1:])
    return np.asarray(errors / np.sqrt(resamples - 1) * _of_few_units(units, seed, half))


def _of_nothing(means: Floats, moves: Floats, seed: int, half: int) -> Floats:
    """(2 half, M) draws of an outcome of which these rows show nothing: no resample shows more than
    0 of it.

    As of a share of which none of n was seen: Beta(1/2, n + 1/2) by Jeffreys' prior. n is what the
    errors of the other points are worth: v (1 - v) over their variance, the median. Where that is
    unknown, 0 stays.
    """
    variances = moves.var(axis=0) if len(moves) > 1 else np.zeros_like(means)
    levels = np.random.default_rng([seed, 4]).random((half, means.shape[1]))
    mirrored = np.concatenate([levels, 1 - levels])
    drawn = np.zeros_like(mirrored)
    for outcome in range(means.shape[1]):
        share, variance = means[:, outcome], variances[:, outcome]
        telling = (variance > 0) & (share > 0) & (share < 1)
        if telling.any():
            n = float(np.median(share[telling] * (1 - share[telling]) / variance[telling]))
            drawn[:, outcome] = betaincinv(0.5, n + 0.5, mirrored[:, outcome])
    return drawn


def _of_few_units(units: float, seed: int, half: int) -> Floats | float:
    """By how much the errors of few units are larger than resamples show: with n of them the
    variance is n - 1 over n of the true one, and known as well as by n - 1 degrees of freedom."""
    if units >= FEW_UNITS:
        return 1.0
    freedom = max(1.0, units - 1)
    levels = np.random.default_rng([seed, 3]).random(half)
    return np.asarray(np.sqrt(units / freedom) * spread_of(freedom, levels))[:, None, None]


def _bounded(means: Floats, noise: Floats) -> Floats:
    """Means plus noise; beyond half the room to 0 or to 1 noise is drawn in, and leaves a fortieth
    of the room.

    Differences from a point are told as fractions of it. So no draw may come near 0, as many of two
    seeds would, whose errors have the tails of a Cauchy distribution.
    """
    room = np.maximum(np.where(noise < 0, means, 1 - means), 1e-9)
    size = np.abs(noise) / room
    drawn = np.where(size < 0.5, size, 1 - 0.5 * np.exp(-np.clip(2 * size - 1, 0, 3)))
    return np.asarray(means + np.sign(noise) * drawn * room)


@dataclass(frozen=True)
class SeedDraws:
    """Draws of what seeds do, before they are laid on a shape.

    Attributes:
        by_seed: (half, J) of the seeds that two candidates have.
        level_spread: (half,), by how much the common standard deviation may differ from its
            estimate.
        size_levels: (half,), uniform: the same for all candidates.
    """

    by_seed: dict[int, Floats]
    level_spread: Floats
    size_levels: Floats

    @staticmethod
    def of(seeds: Seeds, seed: int, half: int) -> SeedDraws:
        """Args: `seed`: of the random numbers."""
        rng, rank = np.random.default_rng([seed, 0]), len(seeds.shape)
        by_seed = {name: rng.standard_normal((half, rank)) for name in _shared_names(seeds)}
        level_spread = spread_of(seeds.level_freedom, rng.random(half))
        return SeedDraws(by_seed, level_spread, rng.random(half))


@dataclass(frozen=True)
class Part:
    """A part of what seeds do to a candidate: weights (half, J) of the shape, and its share (M,) of
    the variance.
    """

    weights: Floats
    share: Floats


def _seed_draws(rankings: Rankings, seeds: Seeds, seed: int, half: int) -> Floats:
    """(half, S, M) errors of means from what seeds do."""
    scale, draws = _scale(rankings, seeds), SeedDraws.of(seeds, seed, half)
    shape = seeds.shape[:, rankings.settings] * scale.factor  # (J, S, M)
    drawn = np.zeros((half, *rankings.means.shape))
    for candidate in np.unique(rankings.candidates).tolist():
        rows = np.flatnonzero(rankings.candidates == candidate)
        replicates = len(rankings.evidence[rows[0]])
        shape_of_candidate = shape[:, rows].reshape(len(shape), -1)
        for part in _parts(candidate, replicates, scale.common, seeds, draws, seed):
            if part.share.any():
                errors = (part.weights @ shape_of_candidate).reshape(half, len(rows), -1)
                drawn[:, rows] += errors * np.sqrt(part.share) * seeds.sizes.size[candidate]
    return drawn


def _parts(
    candidate: int, replicates: int, common: Floats, seeds: Seeds, draws: SeedDraws, seed: int
) -> tuple[Part, Part]:
    """What a candidate has in common with others on its seeds, and what it has alone."""
    half = len(draws.size_levels)
    rng = np.random.default_rng([seed, 2, int(seeds.twin[candidate])])  # the same of twins
    normal, normal_of_seeds = rng.standard_normal((2, half, len(seeds.shape)))
    size_levels = draws.size_levels if seeds.sizes.equal else rng.random(half)
    spread = spread_of(float(seeds.sizes.freedom[candidate]), size_levels)
    shared = [draws.by_seed[name] for name in seeds.seeds[candidate] if name in draws.by_seed]
    if not shared:
        common = np.zeros_like(common)
    on_other_seeds = np.sqrt(max(0, replicates - len(shared))) * normal_of_seeds
    of_seeds = sum(shared, on_other_seeds) / replicates
    in_common = Part(of_seeds * draws.level_spread[:, None], common)
    alone = Part(normal * spread[:, None] / np.sqrt(replicates), 1 - common)
    return in_common, alone


def _shared_names(seeds: Seeds) -> list[int]:
    """The seeds that two candidates have."""
    counts = Counter(chain.from_iterable(seeds.seeds))
    return [name for name, count in counts.items() if count > 1]


@dataclass(frozen=True)
class SeedScale:
    """How what seeds do on these rows compares with the shape: (M,) each.

    Attributes:
        factor: of deviations.
        common: the part of the variance that candidates have in common on a seed.
    """

    factor: Floats
    common: Floats


def _scale(rankings: Rankings, seeds: Seeds) -> SeedScale:
    """The variance over resamples is subtracted from both: each replicate has errors of its own on
    the rows.
    """
    outcomes = rankings.means.shape[1]
    seen, from_rows, expected = np.zeros((3, outcomes))
    pooled = (seeds.shape**2).sum(axis=0)
    for row, point in enumerate(rankings.evidence):
        size, freedom = seeds.sizes.size[rankings.candidates[row]], len(point) - 1
        if freedom and size.any():
            seen += np.nan_to_num(((point.values - point.mean) ** 2).sum(axis=0))
            from_rows += freedom * np.nan_to_num(point.variance_of_a_replicate)
            expected += freedom * size**2 * pooled[rankings.settings[row]]
    from_seeds = np.maximum(seen - from_rows, 0)
    zeros = np.zeros_like(from_seeds)
    factor = np.sqrt(np.divide(from_seeds, expected, out=zeros.copy(), where=expected > 0))
    common = np.divide(seeds.correlation * seen, from_seeds, out=zeros, where=from_seeds > 0)
    return SeedScale(factor, common.clip(0, MOST_ALIKE))


def _shared(scaled: Sequence[Floats], seeds: Sequence[tuple[int, ...]], freedom: Ints) -> Shared:
    """What any two replicated candidates have in common on seeds that both have, by scaled
    deviations (n, K, M).
    """
    outcomes = scaled[0].shape[-1]
    products, norms, pair_freedom = np.zeros(outcomes), np.zeros(outcomes), 0
    for i, j in permutations(np.flatnonzero(freedom).tolist(), 2):
        names = sorted(set(seeds[i]) & set(seeds[j]))
        if len(names) > 1:
            first = _centred(scaled[i], seeds[i], names)
            second = _centred(scaled[j], seeds[j], names)
            products += (first * second).sum(axis=(0, 1))
            norm_of_first = (first**2).sum(axis=(0, 1))
            norm_of_second = (second**2).sum(axis=(0, 1))
            norms += np.sqrt(norm_of_first * norm_of_second)
            pair_freedom += len(names) - 1
    correlation = np.divide(products, norms, out=np.zeros(outcomes), where=norms > 0)
    return Shared(correlation.clip(0, MOST_ALIKE), pair_freedom)


def _centred(scaled: Floats, seeds: tuple[int, ...], names: Sequence[int]) -> Floats:
    """Deviations (n, K, M) on some of the candidate's seeds, from their mean."""
    places = [seeds.index(name) for name in names]
    deviations = scaled[places]
    return np.asarray(deviations - deviations.mean(axis=0))


def _rank(shape: Floats) -> float:
    """How many independent settings the K of a shape (J, K) are worth: the participation ratio of
    their correlation.
    """
    norm = np.sqrt((shape**2).sum(axis=0))
    scaled = shape[:, norm > 0] / norm[norm > 0]
    gram = scaled @ scaled.T
    if not gram.size or not scaled.size:
        return 1.0
    return float(np.trace(gram) ** 2 / max(float((gram**2).sum()), 1e-30))
