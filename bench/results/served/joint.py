"""One joint posterior of all candidates' served outcomes, in which what looks best is drawn to the others.

The best of ten models that are equal looks good, and its next measurement on the same seeds looks good again. So the
utilities U of candidates, each at its best weights, are taken to be alike: u_c = f h_c + v_c over those of today's
model. h_c is how far what is common to the candidates moves each: models that rank as today's do cannot be far
from it. Their own parts v_c are draws of Student's t with `TAIL` degrees of freedom. So one model that is far off, or
truly ahead, is not drawn much and does not spread the others. How far candidates lie apart is learnt from them. The
scales of f and of v have half-Cauchy priors of `SCALE`, or of `PART` of the noise where that is more, as few candidates
tell little (Gelman, Bayesian Analysis 2006; Gelman et al., Bayesian Data Analysis, 3rd ed., sections 5.7 and 17.2).

Outcomes follow U by regression: their errors are those of the same seeds and rows. What a trade of one outcome for
another has, at equal U, is left as measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.core.arrays import Floats
from bench.results.effect import LEVEL, Effect
from bench.results.ledger import band

Utility = Callable[[Floats], Floats]
"""Outcomes (..., M) -> (...), more is better; its differences are fractions, or become such by a `Fraction`."""
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
    """Draws (D, S, M) of the true outcomes of S serving points, relative errors as measured, chosen ones drawn back.

    Args:
        values: (S, M), means; draws: (D, S, M) about them, under a flat prior.
        best: the row of each candidate at its own weights; what is alike.
        base: the row that candidates are compared with: today's model at its own weights.
    """
    d, s, m = draws.shape
    known = values > 0
    logs = np.log(np.where(known, values, 1.0))
    errors = np.where(known, np.log(np.maximum(draws, LEAST_OUTCOME)) - logs, 0.0)
    errors -= errors[:, base : base + 1]
    members = [row for row in dict.fromkeys(best) if row != base and known[row].all()]
    if not d or not members or not known[base].all():
        return np.asarray(draws, dtype=np.float64)
    seen = utility(values[members]) - utility(values[base])
    own = utility(values[members] * np.exp(errors[:, members])) - utility(values[base]) - seen  # (D, C)
    own -= own.mean(axis=0)
    both = np.cov(own, rowvar=False).reshape(len(members), -1)
    both += np.eye(len(members)) * max(1e-6 * float(np.diag(both).mean()), 1e-14)
    along = np.einsum("dc,dk->ck", own, errors.reshape(d, -1)) / max(1, d - 1)  # (C, S M)
    rng, moved = np.random.default_rng(seed), np.empty((d, s * m))
    with threadpool_limits(1):
        spreads = _spreads(seen, both, rng)
        for spread, of in zip(spreads, np.array_split(np.arange(d), len(spreads)), strict=True):
            true = rng.standard_normal((len(of), len(members))) @ np.linalg.cholesky(spread).T
            moved[of] = np.linalg.solve(spread + both, (seen - true - own[of]).T).T @ along
    found = np.exp(logs - errors - moved.reshape(d, s, m))  # an error is as likely as its mirror image
    with np.errstate(divide="ignore", invalid="ignore"):
        of_base = np.where(values[base] > 0, draws[:, base] / values[base], 1.0)[:, None]
    return np.asarray(np.where(known, found * of_base, draws))


def _spreads(seen: Floats, errors: Floats, rng: np.random.Generator) -> list[Floats]:
    """Draws of the prior covariance (C, C) of candidates by Gibbs sampling, given differences (C,) and their errors."""
    count, root, common = len(seen), np.linalg.cholesky(errors), _common(errors)
    least = max(SCALE**2, PART**2 * float(np.median(np.diag(errors))))
    scale = mix = shift = least
    own, found = np.ones(count), []
    for step in range(BURN + STEPS):
        spread = np.diag(scale * own) + shift * np.outer(common, common)
        true, factor = np.sqrt(scale * own) * rng.standard_normal(count), np.sqrt(shift) * rng.standard_normal()
        noise = root @ rng.standard_normal(count)
        left = np.linalg.solve(spread + errors, seen - true - factor * common - noise)
        true, factor = true + scale * own * left, factor + shift * float(common @ left)
        own = 1 / rng.gamma((TAIL + 1) / 2, 2 / (TAIL + true**2 / scale))
        scale = 1 / rng.gamma((count + 1) / 2, 1 / (1 / mix + (true**2 / own).sum() / 2))
        mix = 1 / rng.gamma(1.0, 1 / (1 / least + 1 / scale))
        shift = 1 / rng.gamma(1.0, 2 / (least + factor**2))
        if step >= BURN:
            found.append(np.diag(scale * own + 1e-14) + shift * np.outer(common, common))
    return found


def _common(errors: Floats) -> Floats:
    """(C,) how much of each error all have in common, of mean square 1: the first factor of their correlations."""
    sd = np.sqrt(np.diag(errors))
    apart = errors / np.outer(sd, sd) - np.eye(len(sd))
    loading = np.sqrt(np.abs(apart).max(axis=1, initial=0.0)) if len(sd) > 1 else np.ones(1)
    for _ in range(30 if len(sd) > 1 else 0):
        values, vectors = np.linalg.eigh(apart + np.diag(loading**2))
        loading = vectors[:, -1] * np.sqrt(max(float(values[-1]), 0.0))
        loading = np.clip(loading * np.sign(loading.sum() or 1.0), 0.05, 0.99)
    found = loading * sd
    return np.asarray(found / np.sqrt((found**2).mean()))


@dataclass(frozen=True)
class Moves:
    """The effect of changing from one serving point to another, in U and by outcome, as fractions.

    Intervals of the outcomes hold all together at `LEVEL`; that of U is its own.
    """

    utility: Effect
    outcomes: Mapping[str, Effect]

    def spanning(self, other: Moves) -> Moves:
        """Itself, with intervals that reach as far as the other one's."""
        outcomes = {name: each.spanning(other.outcomes[name]) for name, each in self.outcomes.items()}
        return Moves(self.utility.spanning(other.utility), outcomes)

    def to_json(self) -> dict[str, object]:
        """Itself as every document has it."""
        return {"utility": self.utility.to_json(), **{name: each.to_json() for name, each in self.outcomes.items()}}


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
        whole: the row whose utility is the whole that differences are fractions of, where 1 + U is an amount; it is as
            uncertain as they are.
    """
    of = np.maximum(draws if len(draws) else values[None], LEAST_OUTCOME)
    ratio, known = np.log(of[:, to]) - np.log(of[:, start]), values[start] > 0
    apart = utility(of[:, to]) - utility(of[:, start])
    if whole is not None:
        apart = apart / (1 + utility(of[:, whole]))
    middle, sd, far = ratio.mean(axis=0), ratio.std(axis=0), math.nan
    if len(draws) and known.any():
        off = np.abs(ratio - middle)[:, known] / np.where(sd > 0, sd, np.inf)[known]
        far = float(np.quantile(off.max(axis=1), LEVEL))
    told = np.expm1([middle, middle - far * sd, middle + far * sd])
    outcomes = [Effect(*own) if ok else Effect(math.nan) for own, ok in zip(told.T.tolist(), known, strict=True)]
    drawn = apart if len(draws) and known.any() else apart[:0]
    return Moves(effect_of(apart.mean(), drawn, fraction), dict(zip(names, outcomes, strict=True)))


def effect_of(mean: float, draws: Floats, fraction: Fraction) -> Effect:
    """A mean difference of U and its draws (D,) as an effect in fractions; without draws no interval."""
    low, high = band(draws)
    return Effect(*fraction(np.array([mean, low, high], dtype=np.float64)).tolist())
