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
"""Outcomes (..., M) -> (...), more is better; as a fraction, so that .01 is 1%."""

TAIL = 2.0
SCALE, PART = 0.01, 0.5
STEPS, BURN = 240, 60
"""Kept steps of the sampler, and those before them."""
LEAST = 1e-12


@dataclass(frozen=True)
class _Effects:
    """Independent effects that N differences are made of, in parts.

    Attributes:
        design: (N, K), how far each of K effects moves each difference.
        of: (K,), a candidate each: effects of one candidate are far off together. None: Gaussian ones.
    """

    design: Floats
    of: NDArray[np.int64] | None = None


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
    logs, errors = _logs(values, draws, base)
    known = values > 0
    members = [row for row in dict.fromkeys(best) if row != base and known[row].all()]
    if not d or not members or not known[base].all():
        return np.asarray(draws, dtype=np.float64)
    seen = utility(values[members]) - utility(values[base])
    own = utility(values[members] * np.exp(errors[:, members])) - utility(values[base]) - seen  # (D, C)
    own -= own.mean(axis=0)
    both = _covariance(own)
    effects = [_Effects(np.eye(len(members)), np.arange(len(members))), _Effects(_common(both)[:, None])]
    along = np.einsum("dc,dk->ck", own, errors.reshape(d, -1)) / max(1, d - 1)  # (C, S M)
    moved = _left(seen, own, both, effects, seed) @ along
    return _told(values, draws, base, np.exp(logs - errors - moved.reshape(d, s, m)))


def alike(
    values: Floats, draws: Floats, of: NDArray[np.int64], now: Mapping[int, int], base: int, seed: int
) -> NDArray[np.float64]:
    """Draws (D, S, M) of the true outcomes, in which models are taken to be alike in each outcome, too.

    Under today's weights a model's outcomes differ from those of another one by a part that is common to its outcomes
    and by a part of each: both are drawn for all models, today's among them, and their scales are learnt, as above. The
    points of a model move with it by regression on their errors, so what weights do stays as measured. A guard on many
    outcomes asks for this: each outcome's own noise is far larger than that of U.

    Args:
        of: (S,), each point's candidate.
        now: by candidate the row of today's weights; others stay as measured.
        base: the row of today's model under today's weights.
    """
    d, _, m = draws.shape
    logs, errors = _logs(values, draws, base)
    known = values > 0
    differ = [
        of_one for of_one, row in now.items() if known[row].all() and errors[:, row].std(axis=0).min(initial=1) > 0
    ]
    if not d or not differ or not known[base].all():
        return np.asarray(draws, dtype=np.float64)
    rows, count = [now[each] for each in differ], len(differ)
    own = errors[:, rows].reshape(d, -1)
    own = own - own.mean(axis=0)
    both = _covariance(own)
    against: Floats = np.hstack([np.eye(count), -np.ones((count, 1))])  # today's model is one of them
    places = np.arange(count + 1)
    effects = [
        _Effects(against.repeat(m, axis=0), places),
        _Effects(np.asarray(np.kron(against, np.eye(m)), dtype=float), places.repeat(m)),
    ]
    moved = (_left((logs[rows] - logs[base]).reshape(-1), own, both, effects, seed) @ both).reshape(d, count, m)
    found = np.exp(logs - errors)
    for at, (each, row) in enumerate(zip(differ, rows, strict=True)):
        with_it = np.einsum("dsm,dm->sm", errors[:, of == each], errors[:, row]) / (errors[:, row] ** 2).sum(axis=0)
        found[:, of == each] *= np.exp(-moved[:, at, None] * np.clip(with_it, 0.0, 1.0))
    return _told(values, draws, base, found)


def _logs(values: Floats, draws: Floats, base: int) -> tuple[Floats, Floats]:
    """Logarithms (S, M) of values, and errors (D, S, M) of those; less the base's."""
    known = values > 0
    logs = np.log(np.where(known, values, 1.0))
    errors = np.where(known, np.log(np.maximum(draws, LEAST)) - logs, 0.0)
    return logs, np.asarray(errors - errors[:, base : base + 1])


def _told(values: Floats, draws: Floats, base: int, found: Floats) -> NDArray[np.float64]:
    """Draws (D, S, M) over the base's own ones; an error is as likely as its mirror image."""
    with np.errstate(divide="ignore", invalid="ignore"):
        of_base = np.where(values[base] > 0, draws[:, base] / values[base], 1.0)[:, None]
    return np.asarray(np.where(values > 0, found * of_base, draws))


def _covariance(own: Floats) -> Floats:
    """(N, N) of errors (D, N)."""
    both = np.cov(own, rowvar=False).reshape(own.shape[1], -1)
    return np.asarray(both + np.eye(len(both)) * max(1e-6 * float(np.diag(both).mean()), 1e-14))


def _left(seen: Floats, own: Floats, errors: Floats, effects: Sequence[_Effects], seed: int) -> Floats:
    """(D, N): what is seen (N,) less a draw of the truth and of the errors, over the covariance of all."""
    rng, found = np.random.default_rng(seed), np.empty_like(own)
    with threadpool_limits(1):
        spreads = _spreads(seen, errors, effects, rng)
        for spread, of in zip(spreads, np.array_split(np.arange(len(own)), len(spreads)), strict=True):
            true = rng.standard_normal((len(of), len(seen))) @ np.linalg.cholesky(spread).T
            found[of] = np.linalg.solve(spread + errors, (seen - true - own[of]).T).T
    return found


def _spreads(seen: Floats, errors: Floats, effects: Sequence[_Effects], rng: np.random.Generator) -> list[Floats]:
    """Draws of the covariance (N, N) of true differences by Gibbs sampling, given differences (N,) and their errors."""
    count, root = len(seen), np.linalg.cholesky(errors)
    least = max(SCALE**2, PART**2 * float(np.median(np.diag(errors))))
    scales, mixes = [least] * len(effects), [least] * len(effects)
    tails, found = [np.ones(each.design.shape[1]) for each in effects], []
    for step in range(BURN + STEPS):
        spread = sum(
            (each.design * (s * tail)) @ each.design.T for each, s, tail in zip(effects, scales, tails, strict=True)
        )
        sizes = [np.sqrt(s * tail) for s, tail in zip(scales, tails, strict=True)]
        drawn = [size * rng.standard_normal(len(size)) for size in sizes]
        of_drawn = sum(each.design @ own for each, own in zip(effects, drawn, strict=True))
        left = np.linalg.solve(spread + errors, seen - of_drawn - root @ rng.standard_normal(count))
        for at, each in enumerate(effects):
            own = drawn[at] + sizes[at] ** 2 * (each.design.T @ left)
            if each.of is not None:
                far = np.bincount(each.of, own**2) / scales[at]
                tails[at] = (1 / rng.gamma((TAIL + np.bincount(each.of)) / 2, 2 / (TAIL + far)))[each.of]
            squares = float((own**2 / tails[at]).sum())
            scales[at] = 1 / rng.gamma((len(own) + 1) / 2, 1 / (1 / mixes[at] + squares / 2))
            mixes[at] = 1 / rng.gamma(1.0, 1 / (1 / least + 1 / scales[at]))
        if step >= BURN:
            found.append(np.asarray(spread + 1e-14 * np.eye(count)))
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
    values: Floats, draws: Floats, to: int, start: int, utility: Utility, names: Sequence[str], whole: int | None = None
) -> Moves:  # fmt: skip
    """The effect of changing from the row `start` to the row `to`.

    Args:
        values: (S, M), means: without draws they are told, and nothing is known of noise.
        draws: (D, S, M), of `posterior`.
        whole: the row whose utility is the whole that differences are fractions of, where 1 + U is an amount; it is as
            uncertain as they are.
    """
    of = np.maximum(draws if len(draws) else values[None], LEAST)
    ratio, known = np.log(of[:, to]) - np.log(of[:, start]), values[start] > 0
    apart = utility(of[:, to]) - utility(of[:, start])
    if whole is not None:
        apart = apart / (1 + utility(of[:, whole]))
    middle, sd, far, ends = ratio.mean(axis=0), ratio.std(axis=0), math.nan, (math.nan, math.nan)
    if len(draws) and known.any():
        off = np.abs(ratio - middle)[:, known] / np.where(sd > 0, sd, np.inf)[known]
        far, ends = float(np.quantile(off.max(axis=1), LEVEL)), (float(band(apart)[0]), float(band(apart)[1]))
    told = np.expm1([middle, middle - far * sd, middle + far * sd])
    outcomes = [Effect(*own) if ok else Effect(math.nan) for own, ok in zip(told.T.tolist(), known, strict=True)]
    return Moves(Effect(float(apart.mean()), *ends), dict(zip(names, outcomes, strict=True)))
