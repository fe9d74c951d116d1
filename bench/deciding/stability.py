"""Stability of a pick: whether its model is picked again where all is trained and measured again.
Simpler choices.

The page's script computes the same from the same draws. The definition, for draws d, rows r and
metrics m:

* v[d, r, m] is a value after a retraining: what the true value may be, with noise of seeds and rows
  that is not that of the draw. c is the current row, `sign` +1 or -1 by direction. `unit` is |v[d,
  c, m]|, and .1 of a head's metric in thousandths. The gain is g[d, r, m] = sign * (v[d, r, m] -
  v[d, c, m]) / unit.
* The score under the rule `weights` is s[d, r] = sum_m w_m g[d, r, m], with weights of sum 1;
  others: `PICK_RULES`.
* A row is feasible in draw d if it keeps every limit there. A limit on a loss is v[d, r, m] >= (1 -
  loss_m) v[d, c, m]; "98% of current" is v[d, r, m] >= .98 v[d, c, m]; a number is itself. Costs
  are not drawn. Only rows that pass the guard are feasible: they keep all limits in a share
  `guard.confidence` of the posterior's draws, and by their means where there are none. Segments are
  judged once, not in each draw.
* Weights are chosen again after a retraining, so it is the pick's model that holds, with any of its
  rows P: the pick, and those that pass the guard. It holds in draw d if a row of P keeps every
  limit, with half a percent forgiven: v[d, p, m] >= (1 - .005) threshold, and max over such rows of
  s[d, p] >= max over feasible rows of s[d, r] - .005. If no row is feasible, the second condition
  is waived.
* `holds` is the share of draws in which the model holds; `keeps` that in which a row of it keeps
  its limits. A row comes first in a draw if it has the largest score of the feasible rows; of
  scores equal to 12 decimals, the upper.

docs/studies/statistics.md has how often picks held in simulated retrainings, beside what was said.
Whether the very weights hold is not told: within half a percent of the best of a hundred rows is
chance, and no estimate of it beat a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.deciding.choices import Choices, Named
from bench.deciding.judging import Judge
from bench.ledger.effect import MARGIN
from bench.ledger.pareto import lattice, steps_within

SURE_LOSS = 0.95
"""One-sided confidence with which a loss is more than noise."""
ROUNDING = 1e-12
"""Differences of less are none."""


def as_good(choices: Choices, names: Sequence[str], chosen: int) -> list[int]:
    """Rows of other points that are not worse than one by more than `MARGIN` in any metric, nor
    significantly worse.

    A loss is significant if `SURE_LOSS` of the paired draws have it. Without draws nothing is known
    of noise: a row is then as good only if it is nowhere worse.
    """
    has_noise = len(choices.drawn) > 0
    margin = MARGIN if has_noise else 0.0
    ahead = _difference(choices, names, choices.values(names), chosen)
    is_good = (ahead >= -margin - ROUNDING).all(axis=1)
    if has_noise:
        drawn = _difference(choices, names, choices.posterior(names), chosen)
        at_best = np.quantile(drawn, SURE_LOSS, axis=0)
        is_good &= (at_best >= -ROUNDING).all(axis=1)
    is_good &= ~choices.rows_of(choices.of("point", chosen))
    return np.flatnonzero(is_good).tolist()


def simplicity(choices: Choices, row: int) -> tuple[bool, float, bool]:
    """Smaller is simpler: to keep the current point, then fewer parameters, then a baseline."""
    return (
        row != choices.current,
        float(choices.of("size", row)),
        choices.of("role", row) != "baseline",
    )


def simpler(choices: Choices, row: int, chosen: int) -> bool:
    """Whether a row is simpler than another, or a baseline, which is named even where it is not
    smaller.
    """
    if chosen == choices.current:
        return False
    if choices.of("role", row) == "baseline" and choices.of("role", chosen) != "baseline":
        return True
    return simplicity(choices, row) < simplicity(choices, chosen)


def _difference(choices: Choices, names: Sequence[str], values: Floats, chosen: int) -> Floats:
    gains = choices.gains(names, values)
    return np.asarray(gains - gains[..., [chosen], :])


TOLERANCE = 0.005
"""What a limit, and a score's distance to the best, may be off: half a percent."""
SELDOM = 0.8
"""A pick that holds in fewer draws is named with its rivals."""
GRID = 231
"""The most weights: 20 steps from end to end for up to three objectives."""
FINEST = 20


@dataclass(frozen=True)
class PointStability(Named):
    """One point, with all its rows.

    Attributes:
        share: of a grid of weights, where one of its rows has the largest weighted gain.
        by_rule: in which share of draws the policy's own rule puts it first; None without draws.
    """

    share: float
    by_rule: float | None


@dataclass(frozen=True)
class Stability:
    """How sure a pick is, and the picks under other weights.

    Attributes:
        holds: share of draws in which the pick's model keeps its limits and is within half a
            percent of the best. None without draws.
        keeps: share of draws in which it keeps its limits, with half a percent forgiven.
        points: those that any weights or draws put first, or that is picked; largest `by_rule`,
            then `share` first.
    """

    holds: float | None
    keeps: float | None
    points: tuple[PointStability, ...]


def stability_of(judge: Judge, picked: int) -> Stability:
    """The stability of a row; see the module."""
    choices, over_draws = judge.choices, _over_draws(judge, picked)
    point_of_row = choices.table["point"].to_numpy()
    winners = point_of_row[_winners(choices, judge.passing)]
    points = []
    for row in choices.firsts(range(len(choices))):
        point = point_of_row[row]
        share = float((winners == point).mean())
        by_rule = None
        if over_draws is not None:
            by_rule = float(over_draws.first[point_of_row == point].sum())
        if share or by_rule or point == point_of_row[picked]:
            points.append(PointStability(**choices.named(row), share=share, by_rule=by_rule))

    def order(stability: PointStability) -> tuple[float, float, str]:
        return -(stability.by_rule or 0), -stability.share, stability.point

    points.sort(key=order)
    if over_draws is None:
        return Stability(None, None, tuple(points))
    return Stability(over_draws.holds, over_draws.keeps, tuple(points))


@dataclass(frozen=True)
class _OverDraws:
    """What draws of a retraining say of a pick.

    Attributes:
        holds, keeps: as in `Stability`.
        first: (rows,), in which share of draws each row comes first.
    """

    holds: float
    keeps: float
    first: Floats


def _over_draws(judge: Judge, picked: int) -> _OverDraws | None:
    """None where nothing that the policy reads is drawn."""
    choices = judge.choices
    is_drawn = bool({*judge.scored, *judge.names} & {*choices.names})
    if not len(choices.retrained) or not is_drawn:
        return None
    limited = choices.posterior(judge.names, choices.retrained)
    scored = choices.posterior(judge.scored, choices.retrained)
    scores = np.round(judge.scores(scored), 12)
    feasible = judge.keeps(limited) & judge.passing
    feasible_scores = np.where(feasible, scores, -np.inf)

    rows_of_pick = choices.rows_of(choices.of("point", picked)) & judge.passing
    rows_of_pick[picked] = True
    keeps = judge.keeps(limited, TOLERANCE) & rows_of_pick
    best_of_pick = np.where(keeps, scores, -np.inf).max(axis=1)
    near_best = best_of_pick >= feasible_scores.max(axis=1) - TOLERANCE
    holds = keeps.any(axis=1) & near_best

    has_feasible = feasible.any(axis=1)
    first_rows = feasible_scores.argmax(axis=1)[has_feasible]
    first = np.bincount(first_rows, minlength=len(choices)) / len(scores)
    return _OverDraws(float(holds.mean()), float(keeps.any(axis=1).mean()), first)


def grid_of(objectives: int) -> Floats:
    """Weights (W, M) evenly over the simplex, as finely as `GRID` and `FINEST` allow."""
    steps = FINEST
    if objectives > 1:
        steps = min(FINEST, steps_within(objectives, GRID))
    return lattice(objectives, steps) / steps


def _winners(choices: Choices, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(W,), the allowed row whose weighted gain is largest for each weight."""
    gains = choices.gains(choices.names, choices.values(choices.names))
    eligible = np.isfinite(gains).all(axis=1) & allowed
    grid = grid_of(gains.shape[1])
    scores = np.round(np.nan_to_num(gains) @ grid.T, 12)
    eligible_scores = np.where(eligible[:, None], scores, -np.inf)
    return np.asarray(eligible_scores.argmax(axis=0))
