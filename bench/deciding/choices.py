"""The ledger that a policy reads: trials, baselines and the current point, without test.

With kept predictions a choice is a serving point (a model and the weights that fuse its tasks into
one score). Without them it is a point of the front of heads. Every metric is a column, named as
users name it: `like.recall@10%`, `click.auc`, `cost/parameters`.

Values are means over replicates, and over validation and confirmation rows. Where outcomes are
shares of all rows, only a candidate's level is that of labels: the effect of its weights is that of
expected labels, which luck moves less (see `bench.ledger.served.expected`). Fronts and intervals
read confirmation rows alone, because the search chose by validation. A pick only compares points
that were all chosen there, and twice the rows halve the variance of their differences: in replays
that is most of a pick's regret (docs/studies/search.md). What was not measured on validation, such
as an outcome of a segment, is that of confirmation rows. Where nothing was confirmed, values are
the search's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known
from bench.core.objectives import (
    Objective,
    direction_of,
    in_thousandths,
    metric_of,
    of_items,
    ranked,
)
from bench.core.records import Point
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.seeds import derive
from bench.deciding.aims import PolicyAim
from bench.ledger.errors.evidence import evidence_by_id
from bench.ledger.errors.posterior import posterior_draws
from bench.ledger.errors.seed_noise import seed_noise
from bench.ledger.heads import Frontier
from bench.ledger.ledger import FACTS, Ledger, gains_over
from bench.ledger.points import estimate, estimates
from bench.ledger.served.climb import Goal
from bench.ledger.served.expected import choosing_values, together
from bench.ledger.served.joint import posterior
from bench.ledger.served.served import Served

ROW = (*FACTS, "size")
"""Columns of `Choices.table` that are no metrics."""
HEAD_DRAWS = 1000
"""Posterior draws of heads, where there is no served front."""
THOUSANDTHS = 0.1
"""Unit of a head's metric in thousandths, such as AUC: a difference of .001 counts as much as 1% of
an outcome.
"""
CHOOSING, RETRAINED = "choosing", "retrained"
"""Draws of the values that choose, and of those after a retraining."""
STAND_IN = "single_task"
"""The baseline that stands for the current point where none was given."""


@dataclass(frozen=True)
class Named:
    """A point as lists of points have it."""

    point: str
    name: str
    architecture: str


@dataclass(frozen=True)
class Fused(Named):
    """A row of the choices.

    Attributes:
        row: its place.
        kind: of the fusion, `power` or `sum`; None without a served front.
        weights: of the fusion, by task; None without a served front.
    """

    row: int
    kind: str | None
    weights: dict[str, float] | None


@dataclass(frozen=True)
class Choices(Ledger):
    """The rows that a policy chooses among: a ledger without test, with what a policy reads beside
    it.

    `measures` are what rules such as `knee` use: the served outcomes, else the objectives of the
    heads. Besides the facts the table has `size` (parameters; infinite where unknown), then a
    column a metric or cost, and a column an outcome of a segment: `like.recall@10%[country=US]`.

    Attributes:
        draws: of what is told apart by two names that are no splits: `CHOOSING` and `RETRAINED`.
        current: row of the current point, or of what stands for it; None where nothing was
            confirmed.
        today: whether the current point is what is served today.
        chance: by a task's outcome that of a random order; empty for heads.
        earns: (M,), of what each outcome earns at the current point, where the policy has values.
    """

    today: bool = True
    chance: Mapping[str, float] = field(default_factory=dict)
    earns: Floats | None = None

    @property
    def drawn(self) -> NDArray[Any]:
        """(D, rows, M) of the true values, paired over rows; D is 0 where no noise is known."""
        return self.draws[CHOOSING]

    @property
    def retrained(self) -> NDArray[Any]:
        """(D, rows, M), what a confirmation of all points that were trained again may measure."""
        return self.draws[RETRAINED]

    def of(self, name: str, row: int) -> Any:
        """What the table has of a row."""
        return self.table[name].iloc[row]

    def named(self, row: int) -> dict[str, Any]:
        """The fields of a row's `Named`."""
        return {name: self.of(name, row) for name in ("point", "name", "architecture")}

    def fused(self, row: int) -> dict[str, Any]:
        """The fields of a row's `Fused`."""
        fusion = {name: self.of(name, row) for name in ("kind", "weights")}
        return self.named(row) | {"row": row} | fusion

    def rows_of(self, point: str) -> NDArray[np.bool_]:
        """(rows,), which are of a point."""
        return (self.table["point"] == point).to_numpy()

    def firsts(self, rows: Iterable[int]) -> list[int]:
        """Of each point the first of these rows."""
        points = self.table["point"].loc[list(rows)]
        return list(map(int, points.drop_duplicates().index))

    def values(self, names: Sequence[str]) -> Floats:
        """(rows, M) in natural units; NaN where something was not measured."""
        if not names:
            return np.zeros((len(self), 0))
        columns = [self.table[name].to_numpy(dtype=float) for name in names]
        return np.stack(columns, axis=1)

    def posterior(self, names: Sequence[str], draws: NDArray[Any] | None = None) -> Floats:
        """(D, rows, M): the values in each posterior draw; what is no objective is not drawn, and
        keeps its value.

        Args:
            draws: in place of the posterior's, such as `retrained`.
        """
        if draws is None:
            draws = self.drawn
        values = np.repeat(self.values(names)[None], len(draws), axis=0)
        for place, name in enumerate(names):
            if name in self.names:
                drawn_place = self.names.index(name)
                values[:, :, place] = draws[:, :, drawn_place]
        return values

    def sign(self, name: str) -> float:
        """+1 where larger is better."""
        return 1.0 if direction_of(name) == "maximize" else -1.0

    def in_thousandths(self, name: str) -> bool:
        """Whether differences in a metric are read in thousandths, as those of a head's AUC, and
        not in per cent.
        """
        return in_thousandths(name) and not (self.served and name in self.names)

    def gains(self, names: Sequence[str], values: Floats) -> Floats:
        """Differences from the current row, above 0 where better, in units that compare: (...,
        rows, M).

        An outcome, a cost or any other metric is a fraction of current's value: .01 is 1%. A head's
        metric in thousandths is divided by .1: .01 is .001 of AUC. Without a current row, or where
        it was not measured there, the best value of any row stands for it.

        Args:
            values: (..., rows, M) of these metrics, as of `values` or `posterior`.
        """
        signs = np.array(list(map(self.sign, names)))
        base = np.fmax.reduce(self.values(names) * signs, axis=0) * signs
        if self.current is not None:
            of_current = values[..., self.current, :]
            base = np.where(np.isnan(of_current), base, of_current)

        in_thousandths = np.array(list(map(self.in_thousandths, names)), dtype=bool)
        units = np.where(in_thousandths, THOUSANDTHS, np.nan)
        units = np.where((base == 0) & ~in_thousandths, 1.0, units)
        return gains_over(values, base, signs, units)

    def sure_shares(self, name: str, confidence: float, floor: bool) -> Floats:
        """The share of current's value that each row keeps with this confidence over draws:
        (rows,).

        Without draws of the metric, of its values.

        Args:
            floor: whether from below; else the share that it does not exceed.
        """
        assert self.current is not None
        values = self.values([name])[None, :, 0]
        if name in self.names and len(self.drawn) > 0:
            values = self.posterior([name])[..., 0]
        now = values[:, self.current, None]
        gains = np.divide(values - now, np.abs(now), out=np.zeros_like(values), where=now != 0)
        shares = np.sort(1 + gains, axis=0)
        # as many draws may have less, or more
        beyond = math.floor((len(shares) - 1) * (1 - confidence))
        place = beyond if floor else -1 - beyond
        return np.asarray(shares[place])

    def behind_in_every_head(self, row: int, rival: int) -> bool:
        """Whether one row's model is behind another's by the area under the curve of every task, on
        average.
        """
        areas = self._areas
        return areas.shape[1] > 0 and bool((areas[row] < areas[rival]).all())

    def last_by_area(self, row: int) -> int:
        """Of how many models a row's is the last by the area under the curve of every task; 0 where
        it is not.
        """
        is_measured = np.isfinite(self._areas).all(axis=1)
        is_rival = is_measured & ~self.rows_of(self.of("point", row))
        rivals = self.firsts(np.flatnonzero(is_rival))
        is_last = all(self.behind_in_every_head(row, rival) for rival in rivals)
        if not is_last or len(rivals) < 2:
            return 0
        return len(rivals) + 1

    @property
    def _areas(self) -> Floats:
        """(rows, A) areas under the curve of tasks."""
        columns = map(str, self.table.columns)
        return self.values([name for name in columns if metric_of(name) in ("auc", "gauc")])

    def check(self, name: str, where: str, directed: bool = False) -> None:
        """Raises a UserError where there is no such metric, or, if `directed`, it has no best
        direction.
        """
        metrics, outcomes_of_segments = [], []
        for column in self.table.columns.drop(list(ROW)).astype(str):
            if "[" in column:
                outcomes_of_segments.append(column)
            else:
                metrics.append(column)

        if "[" in name:
            check_known("outcome of a segment", name, outcomes_of_segments, where)
        elif name not in metrics and "." in name and ranked(metric_of(name)):
            outcomes = "none: no predictions were kept"
            if self.served:
                outcomes = ", ".join(self.names)
            raise UserError(
                f"{where}: '{name}' is not among this run's outcomes, which are {outcomes}; add it "
                "to the suite's `outcomes` and run again"
            )
        else:
            check_known("metric", name, metrics, where)
        if directed and direction_of(name) is None:
            raise UserError(
                f"{where}: '{name}' has no best direction; bound it by guard.at_least and "
                "guard.at_most"
            )


def served_choices(
    served: Served, points: Iterable[Point], aim: PolicyAim, seed: int = 0
) -> Choices:
    """The rows of a served front, with the metrics of heads and costs of their points.

    What a retraining may measure begins with the joint posterior of all candidates, each at its
    best weights by `aim`.
    """
    ledger, names = served.without(TEST), served.names
    confirmed = ledger.at(CONFIRM)
    measured = together(confirmed, ledger.at(SEARCH))
    values = choosing_values(measured, ledger.expected, ledger.table["point"].tolist())
    levels = np.divide(values, confirmed, out=np.ones_like(values), where=confirmed > 0)
    draws = ledger.draws[CONFIRM] * levels
    goal = Goal(aim, values[ledger.current], served.random)
    retrained = _retrained(ledger, values, draws, goal, derive(seed, "choices"))

    outcomes = dict(zip(names, values.T, strict=True)) | _outcomes_of_segments(ledger)
    chances = {}
    for name, chance in zip(names, served.random.tolist(), strict=True):
        if not of_items(name):
            chances[name] = chance
    return Choices(
        measures=ledger.measures,
        table=_table(ledger.table, points, outcomes),
        cells=ledger.cells,
        draws={CHOOSING: draws, RETRAINED: retrained},
        current=ledger.current,
        today=served.today,
        chance=chances,
        earns=aim.earned(goal.base),
    )


def _outcomes_of_segments(ledger: Served) -> dict[str, Floats]:
    """By `like.recall@10%[country=US]` the outcomes (S,) of confirmation rows, where enough rows of
    a segment are positive.
    """
    outcomes = {}
    for name in sorted(ledger.names):
        place = ledger.names.index(name)
        for segment in sorted(ledger.slices(CONFIRM)):
            values = ledger.at(CONFIRM, slice=segment)[:, place]
            if np.isfinite(values).any():
                outcomes[f"{name}[{segment}]"] = values
    return outcomes


def _retrained(ledger: Served, values: Floats, draws: Floats, goal: Goal, seed: int) -> Floats:
    """(D, S, M), what a confirmation of all points that were trained again may measure; D is 0
    where nothing is known of seeds.
    """
    if not ledger.seeded:
        return draws[:0]
    points = ledger.table["point"].to_numpy()
    worths = goal.worth(values)
    best_row = {}
    for point in pd.unique(points):
        rows = np.flatnonzero(points == point)
        best_row[point] = int(rows[worths[rows].argmax()])
    start = best_row[points[ledger.current]]
    best_rows = list(best_row.values())
    true = posterior(values, draws, best_rows, start, goal.utility, seed)
    noise_of_next_draw = np.roll(draws - values, 1, axis=0)
    return np.maximum(true + noise_of_next_draw, 0.0)


def head_choices(front: Frontier, points: Sequence[Point], seed: int = 0) -> Choices:
    """The points of the front of heads that were compared: confirmed ones and baselines, else what
    the search saw.

    Args:
        points: those of the front without what was measured on test.
    """
    is_compared = front.table["rank"].notna().to_numpy()
    facts = front.table[is_compared].reset_index(drop=True)
    ids = set(facts["point"])
    compared = [point for point in points if point.id in ids]
    table = _table(facts, compared, {})
    draws = _draws(compared, front.measures, seed)
    retrained = draws
    if len(draws):
        values = table[list(front.names)].to_numpy(float)
        draws += values - estimates(compared, front.measures)
        noise_of_next_draw = np.roll(draws - draws.mean(axis=0), 1, axis=0)
        retrained = draws + noise_of_next_draw
    cells_without_test = front.without(TEST).cells
    return Choices(
        measures=front.measures,
        table=table,
        cells={key: cells[is_compared] for key, cells in cells_without_test.items()},
        draws={CHOOSING: draws, RETRAINED: retrained},
        current=_row_of_current(compared),
    )


def _row_of_current(points: Sequence[Point]) -> int | None:
    """The row of the current point, else of what stands for it."""
    row_of_stand_in = None
    for row, point in enumerate(points):
        if point.role == "current":
            return row
        if point.id == STAND_IN:
            row_of_stand_in = row
    return row_of_stand_in


def _draws(points: Sequence[Point], objectives: Sequence[Objective], seed: int) -> Floats:
    """(D, N, M), what the true values may be on confirmation rows; D is 0 where not all have known
    noise.
    """
    keys = [objective.key(CONFIRM) for objective in objectives]
    evidence = list(evidence_by_id(points, keys).values())
    noise = None
    if evidence and len(evidence) == len(points):
        noise = seed_noise(evidence)
    if noise is None:
        return np.zeros((0, len(points), len(objectives)))
    draws = posterior_draws(evidence, noise, derive(seed, "choices"), HEAD_DRAWS)
    means = np.array([of_point.mean for of_point in evidence])
    for row, point in enumerate(points):
        if point.kind == STAND_IN:
            _copy_draws_of_equals(draws, means, row)
    return draws


def _copy_draws_of_equals(draws: Floats, means: Floats, row: int) -> None:
    """Gives a row of single-task models, in place, the draws of the same models where they stand as
    points of their own: those of equal means (N, M).
    """
    for place, mean in enumerate(means[row]):
        is_equal = means[:, place] == mean
        is_equal[row] = False
        if is_equal.any():
            first_equal = is_equal.argmax()
            draws[:, row, place] = draws[:, first_equal, place]


def _table(
    facts: pd.DataFrame, points: Iterable[Point], outcomes: Mapping[str, Floats]
) -> pd.DataFrame:
    """Facts with outcomes, each row's size, and metrics of heads and costs; NaN of a point that is
    not known.
    """
    point_of = {point.id: point for point in points}
    points_of_rows = [point_of.get(str(point)) for point in facts["point"]]
    heads = {}
    for name in _metrics_without_test(points_of_rows):
        if name not in outcomes:
            heads[name] = _values(points_of_rows, name)
    sizes = heads.get("cost/parameters", [np.nan] * len(facts))
    size = pd.Series(sizes, dtype=float).fillna(np.inf)
    columns = pd.DataFrame({**outcomes, "size": size, **heads}, index=facts.index)
    return pd.concat([facts[list(FACTS)], columns], axis=1)


def _metrics_without_test(points: Iterable[Point | None]) -> list[str]:
    """Names of all metrics of validation and confirmation rows, and of costs, in the order in which
    points have them.
    """
    names: dict[str, None] = {}
    for point in points:
        if point is None:
            continue
        keys = list(point.metrics)
        for replicate in point.replicates:
            keys += replicate.metrics
        for key in keys:
            split, _, name = key.partition("/")
            if split in (SEARCH, CONFIRM):
                names[name] = None
            elif split == "cost":
                names[key] = None
    return list(names)


def _values(points: Sequence[Point | None], name: str) -> Floats:
    """(S,), means over validation and confirmation rows; NaN of a point that is not known."""
    confirmed = _estimates_on(CONFIRM, points, name)
    searched = _estimates_on(SEARCH, points, name)
    return together(confirmed[:, None], searched[:, None])[:, 0]


def _estimates_on(split: str, points: Sequence[Point | None], name: str) -> Floats:
    values = np.full(len(points), math.nan)
    for row, point in enumerate(points):
        if point is not None:
            values[row] = estimate(point, name, split)
    return values
