"""One joint posterior of all candidates' served outcomes, in which what looks best is drawn to the
others.

The best of ten models that are equal looks good, and its next measurement on the same seeds looks
good again. So the utilities U of candidates, each at its best weights, are taken to be alike: u_c =
f h_c + v_c over those of today's model. h_c is how far what is common to the candidates moves each:
models that rank as today's do cannot be far from it. Their own parts v_c are draws of Student's t
with `TAIL` degrees of freedom. So one model that is far off, or truly ahead, is not drawn much and
does not spread the others. How far candidates lie apart is learnt from them. The scales of f and of
v have half-Cauchy priors of `SCALE`, or of `PART` of the noise where that is more, as few
candidates tell little (Gelman, Bayesian Analysis 2006; Gelman et al., Bayesian Data Analysis, 3rd
ed., sections 5.7 and 17.2).

Outcomes follow U by regression: their errors are those of the same seeds and rows. What a trade of
one outcome for another has, at equal U, is left as measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.core.arrays import Floats, Mask
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.ledger import band

Utility = Callable[[Floats], Floats]
"""Outcomes (..., M) -> (...), more is better; its differences are fractions, or become such by a
`Fraction`.
"""
Fraction = Callable[[Floats], Floats]
"""Differences of a utility -> fractions, so that .01 is 1%; it never falls."""

TAIL = 2.0
SCALE, PART = 0.01, 0.5
STEPS, BURN = 240, 60
"""Kept steps of the sampler, and those before them."""
LEAST_OUTCOME = 1e-12


def posterior(
    values: Floats, draws: Floats, best: Sequence[int], base: int, utility: Utility, seed: int
) -> NDArray[np.float64]:
    """Draws (D, S, M) of the true outcomes of S serving points, relative errors as measured, chosen
    ones drawn back.

    Args:
        values: (S, M), means; draws: (D, S, M) about them, under a flat prior.
        best: the row of each candidate at its own weights; what is alike.
        base: the row that candidates are compared with: today's model at its own weights.
    """
    positive = values > 0
    members = [row for row in dict.fromkeys(best) if row != base and positive[row].all()]
    if not len(draws) or not members or not positive[base].all():
        return np.asarray(draws, dtype=np.float64)
    errors = _relative_errors(values, draws, base)
    differences = _differences(values, errors, members, base, utility)
    moved = _drawn_back(differences, errors.reshape(len(draws), -1), np.random.default_rng(seed))
    logs = np.log(np.where(positive, values, 1.0))
    # an error is as likely as its mirror image
    outcomes = np.exp(logs - errors - moved.reshape(draws.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        of_base = np.where(values[base] > 0, draws[:, base] / values[base], 1.0)[:, None]
    return np.asarray(np.where(positive, outcomes * of_base, draws))


def _relative_errors(values: Floats, draws: Floats, base: int) -> Floats:
    """(D, S, M), errors of the logarithms of outcomes over the base's; 0 of an outcome of which
    nothing is shown.
    """
    positive = values > 0
    logs = np.log(np.where(positive, values, 1.0))
    errors = np.where(positive, np.log(np.maximum(draws, LEAST_OUTCOME)) - logs, 0.0)
    return np.asarray(errors - errors[:, base : base + 1])


@dataclass(frozen=True)
class Differences:
    """Differences in U of C candidates from the base, as measured.

    Attributes:
        seen: (C,), differences.
        errors: (D, C), their errors, of mean 0.
        covariance: (C, C), of these.
    """

    seen: Floats
    errors: Floats
    covariance: Floats


def _differences(
    values: Floats, errors: Floats, members: Sequence[int], base: int, utility: Utility
) -> Differences:
    """Of the rows `members`, by relative errors (D, S, M) of outcomes."""
    base_utility = utility(values[base])
    seen = utility(values[members]) - base_utility
    utility_errors = utility(values[members] * np.exp(errors[:, members])) - base_utility - seen
    utility_errors -= utility_errors.mean(axis=0)
    covariance = np.cov(utility_errors, rowvar=False).reshape(len(members), -1)
    covariance += np.eye(len(members)) * max(1e-6 * float(np.diag(covariance).mean()), 1e-14)
    return Differences(seen, utility_errors, covariance)


def _drawn_back(differences: Differences, errors: Floats, rng: np.random.Generator) -> Floats:
    """(D, S M), how far errors (D, S M) of outcomes move as differences in U are drawn to what is
    alike.
    """
    count, members = differences.errors.shape
    slopes = np.einsum("dc,dk->ck", differences.errors, errors) / max(1, count - 1)  # (C, S M)
    moved = np.empty_like(errors)
    with threadpool_limits(1):
        spreads = _spreads(differences.seen, differences.covariance, rng)
        for spread, places in zip(
            spreads, np.array_split(np.arange(count), len(spreads)), strict=True
        ):
            true = rng.standard_normal((len(places), members)) @ np.linalg.cholesky(spread).T
            surplus = differences.seen - true - differences.errors[places]
            moved[places] = np.linalg.solve(spread + differences.covariance, surplus.T).T @ slopes
    return moved


def _spreads(seen: Floats, errors: Floats, rng: np.random.Generator) -> list[Floats]:
    """Draws of the prior covariance (C, C) of candidates by Gibbs sampling, given differences (C,)
    and their errors.

    In the names of the module's text: f has the variance `shift`, and v_c `scale` times `mixing`.
    """
    count, root, common = len(seen), np.linalg.cholesky(errors), _common(errors)
    prior_scale = max(SCALE**2, PART**2 * float(np.median(np.diag(errors))))
    scale = scale_mixing = shift = prior_scale
    mixing, spreads = np.ones(count), []
    for step in range(BURN + STEPS):
        spread = np.diag(scale * mixing) + shift * np.outer(common, common)
        v = np.sqrt(scale * mixing) * rng.standard_normal(count)
        f = np.sqrt(shift) * rng.standard_normal()
        noise = root @ rng.standard_normal(count)
        surplus = np.linalg.solve(spread + errors, seen - v - f * common - noise)
        v = v + scale * mixing * surplus
        f = f + shift * float(common @ surplus)
        mixing = 1 / rng.gamma((TAIL + 1) / 2, 2 / (TAIL + v**2 / scale))
        scale = 1 / rng.gamma((count + 1) / 2, 1 / (1 / scale_mixing + (v**2 / mixing).sum() / 2))
        scale_mixing = 1 / rng.gamma(1.0, 1 / (1 / prior_scale + 1 / scale))
        shift = 1 / rng.gamma(1.0, 2 / (prior_scale + f**2))
        if step >= BURN:
            spreads.append(np.diag(scale * mixing + 1e-14) + shift * np.outer(common, common))
    return spreads


def _common(errors: Floats) -> Floats:
    """(C,) how much of each error all have in common, of mean square 1: the first factor of their
    correlations.
    """
    deviations = np.sqrt(np.diag(errors))
    loadings = np.ones(1)
    if len(deviations) > 1:
        loadings = _first_factor(
            errors / np.outer(deviations, deviations) - np.eye(len(deviations))
        )
    common = loadings * deviations
    return np.asarray(common / np.sqrt((common**2).mean()))


def _first_factor(correlations: Floats) -> Floats:
    """(C,), loadings of the first factor of correlations (C, C) whose diagonal is 0, by iterated
    principal factors.
    """
    loadings = np.sqrt(np.abs(correlations).max(axis=1, initial=0.0))
    for _ in range(30):
        values, vectors = np.linalg.eigh(correlations + np.diag(loadings**2))
        loadings = vectors[:, -1] * np.sqrt(max(float(values[-1]), 0.0))
        loadings = np.clip(loadings * np.sign(loadings.sum() or 1.0), 0.05, 0.99)
    return np.asarray(loadings)


@dataclass(frozen=True)
class Moves:
    """The effect of changing from one serving point to another, in U and by outcome, as fractions.

    Intervals of the outcomes hold all together at `LEVEL`; that of U is its own.
    """

    utility: Effect
    outcomes: Mapping[str, Effect]

    def spanning(self, other: Moves) -> Moves:
        """Itself, with intervals that reach as far as the other one's."""
        outcomes = {}
        for name, effect in self.outcomes.items():
            outcomes[name] = effect.spanning(other.outcomes[name])
        return Moves(self.utility.spanning(other.utility), outcomes)

    def to_json(self) -> dict[str, object]:
        """Itself as every document has it."""
        document: dict[str, object] = {"utility": self.utility.to_json()}
        for name, effect in self.outcomes.items():
            document[name] = effect.to_json()
        return document


def moves(
    values: Floats,
    draws: Floats,
    to: int,
    start: int,
    utility: Utility,
    fraction: Fraction,
    names: Sequence[str],
    whole: int | None = None,
) -> Moves:
    """The effect of changing from the row `start` to the row `to`.

    Args:
        values: (S, M), means: without draws they are told, and nothing is known of noise.
        draws: (D, S, M), of `posterior`.
        fraction: what makes differences of U fractions.
        whole: the row whose utility is the whole that differences are fractions of, where 1 + U is
            an amount; it is as uncertain as they are.
    """
    positive = values[start] > 0
    uncertain = len(draws) > 0 and bool(positive.any())
    worlds = np.maximum(draws if len(draws) else values[None], LEAST_OUTCOME)
    ratios = np.log(worlds[:, to]) - np.log(worlds[:, start])
    differences = utility(worlds[:, to]) - utility(worlds[:, start])
    if whole is not None:
        differences = differences / (1 + utility(worlds[:, whole]))
    effects = _together(ratios, positive, uncertain)
    drawn = differences if uncertain else differences[:0]
    return Moves(
        effect_of(differences.mean(), drawn, fraction), dict(zip(names, effects, strict=True))
    )


def _together(ratios: Floats, positive: Mask, uncertain: bool) -> list[Effect]:
    """Effects of logarithms of ratios (D, M), in as many standard deviations as hold all together;
    NaN from 0.
    """
    middle, deviations, reach = ratios.mean(axis=0), ratios.std(axis=0), math.nan
    if uncertain:
        distances = (
            np.abs(ratios - middle)[:, positive]
            / np.where(deviations > 0, deviations, np.inf)[positive]
        )
        reach = float(np.quantile(distances.max(axis=1), LEVEL))
    ends = np.expm1([middle, middle - reach * deviations, middle + reach * deviations])
    effects = []
    for interval, defined in zip(ends.T.tolist(), positive, strict=True):
        effects.append(Effect(*interval) if defined else Effect(math.nan))
    return effects


def effect_of(mean: float, draws: Floats, fraction: Fraction) -> Effect:
    """A mean difference of U and its draws (D,) as an effect in fractions; without draws no
    interval.
    """
    low, high = band(draws)
    return Effect(*fraction(np.array([mean, low, high], dtype=np.float64)).tolist())
