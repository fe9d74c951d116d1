"""The choices of a policy as one tidy table: trials, baselines and the current point.

With kept predictions a choice is a serving point (a model and the weights that fuse its tasks into
one score). Without them it is a point of the front of heads. Every column is named as users name
it: `like.recall@10%`, `click.auc`, `cost/parameters`.

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
from bench.ledger.errors.seeds import seed_noise
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
class Choices:
    """The rows that a policy chooses among.

    Attributes:
        table: one row a choice: the facts of a ledger, `size` (parameters; infinite where unknown),
            then a column a metric or cost, and a column an outcome of a segment:
            `like.recall@10%[country=US]`.
        objectives: what rules such as `knee` use: the served outcomes, else the objectives of the
            heads.
        draws: (D, rows, objectives) of their true values, paired over rows; D is 0 where no noise
            is known.
        current: row of the current point, or of what stands for it; None where nothing was
            confirmed.
        ledger: of the served front, whose rows these are, without test; None for heads.
        retrained: (D, rows, objectives), what a confirmation of all points that were trained again
            may measure.
        today: whether the current point is what is served today.
        chance: by a task's outcome that of a random order; empty for heads.
        earns: (objectives,), of what each earns at the current point, where the policy has values.
    """

    table: pd.DataFrame
    objectives: tuple[str, ...]
    draws: NDArray[Any]
    current: int | None
    ledger: Ledger | None = None
    retrained: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    today: bool = True
    chance: Mapping[str, float] = field(default_factory=dict)
    earns: Floats | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def served(self) -> bool:
        """Whether the choices are serving points; their objectives are then outcomes of the score
        that ranks.
        """
        return bool(self.table["kind"].notna().any())

    def of(self, name: str, row: int) -> Any:
        """What the table has of a row."""
        return self.table[name].iloc[row]

    def named(self, row: int) -> dict[str, Any]:
        """The fields of a row's `Named`."""
        return {name: self.of(name, row) for name in ("point", "name", "architecture")}

    def fused(self, row: int) -> dict[str, Any]:
        """The fields of a row's `Fused`."""
        return self.named(row) | {
            "row": row,
            "kind": self.of("kind", row),
            "weights": self.of("weights", row),
        }

    def firsts(self, rows: Iterable[int]) -> list[int]:
        """Of each point the first of these rows."""
        return [int(row) for row in self.table["point"].loc[list(rows)].drop_duplicates().index]

    def values(self, names: Sequence[str]) -> Floats:
        """(rows, M) in natural units; NaN where something was not measured."""
        columns = [self.table[name].to_numpy(dtype=float) for name in names]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self), 0))

    def posterior(self, names: Sequence[str], draws: NDArray[Any] | None = None) -> Floats:
        """(D, rows, M): the values in each posterior draw; what is no objective is not drawn, and
        keeps its value.

        Args:
            draws: in place of the posterior's, such as `retrained`.
        """
        of = self.draws if draws is None else draws
        found = np.repeat(self.values(names)[None], len(of), axis=0)
        for place, name in enumerate(names):
            if name in self.objectives:
                found[:, :, place] = of[:, :, self.objectives.index(name)]
        return found

    def sign(self, name: str) -> float:
        """+1 where larger is better."""
        return 1.0 if direction_of(name) == "maximize" else -1.0

    def in_thousandths(self, name: str) -> bool:
        """Whether differences in a metric are read in thousandths, as those of a head's AUC, and
        not in per cent.
        """
        return in_thousandths(name) and not (self.served and name in self.objectives)

    def gains(self, names: Sequence[str], values: Floats) -> Floats:
        """Differences from the current row, above 0 where better, in units that compare: (...,
        rows, M).

        An outcome, a cost or any other metric is a fraction of current's value: .01 is 1%. A head's
        metric in thousandths is divided by .1: .01 is .001 of AUC. Without a current row, or where
        it was not measured there, the best value of any row stands for it.

        Args:
            values: (..., rows, M) of these metrics, as of `values` or `posterior`.
        """
        signs = np.array([self.sign(name) for name in names])
        best = np.fmax.reduce(self.values(names) * signs, axis=0) * signs
        base = np.broadcast_to(best, (*values.shape[:-2], len(names)))
        if self.current is not None:
            base = np.where(
                np.isnan(values[..., self.current, :]), base, values[..., self.current, :]
            )
        units = np.where([self.in_thousandths(name) for name in names], THOUSANDTHS, np.nan)
        units = np.where((base == 0) & np.isnan(units), 1.0, units)
        return gains_over(values, base, signs, units)

    def sure_shares(self, name: str, confidence: float, floor: bool) -> Floats:
        """The share of current's value that each row keeps with this confidence over draws:
        (rows,).

        Without draws of the metric, of its values.

        Args:
            floor: whether from below; else the share that it does not exceed.
        """
        drawn = name in self.objectives and len(self.draws)
        values = (self.posterior([name]) if drawn else self.values([name])[None])[..., 0]
        assert self.current is not None
        now = values[:, self.current, None]
        gained = np.divide(values - now, np.abs(now), out=np.zeros_like(values), where=now != 0)
        found = np.sort(1 + gained, axis=0)
        beyond = math.floor(
            (len(found) - 1) * (1 - confidence)
        )  # as many draws may have less, or more
        return np.asarray(found[beyond if floor else -1 - beyond])

    def behind_in_every_head(self, row: int, other: int) -> bool:
        """Whether one row's model is behind another's by the area under the curve of every task, on
        average.
        """
        own, theirs = self._areas[row], self._areas[other]
        return bool(own.size) and bool((own < theirs).all())

    def last_by_area(self, row: int) -> int:
        """Of how many models a row's is the last by the area under the curve of every task; 0 where
        it is not.
        """
        rows = self.firsts(range(len(self)))
        others = [other for other in rows if self.of("point", other) != self.of("point", row)]
        known = [other for other in others if np.isfinite(self._areas[other]).all()]
        last = len(known) > 1 and all(self.behind_in_every_head(row, other) for other in known)
        return len(known) + 1 if last else 0

    @property
    def _areas(self) -> Floats:
        """(rows, A) areas under the curve of tasks."""
        return self.values(
            [str(name) for name in self.table.columns if metric_of(str(name)) in ("auc", "gauc")]
        )

    def check(self, name: str, where: str, directed: bool = False) -> None:
        """Raises a UserError where there is no such metric, or, if `directed`, it has no best
        direction.
        """
        of_segment = "[" in name
        known = [
            str(each)
            for each in self.table.columns
            if each not in ROW and ("[" in str(each)) == of_segment
        ]
        if name not in known and "." in name and not of_segment and ranked(metric_of(name)):
            has = ", ".join(self.objectives) if self.served else "none: no predictions were kept"
            raise UserError(
                f"{where}: '{name}' is not among this run's outcomes, which are {has}; add it to "
                "the suite's `outcomes` and run again"
            )
        check_known("outcome of a segment" if of_segment else "metric", name, known, where)
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
    confirm = ledger.at(CONFIRM)
    values = choosing_values(
        together(confirm, ledger.at(SEARCH)), ledger.expected, ledger.table["point"].tolist()
    )
    own = {
        point: np.flatnonzero(ledger.table["point"] == point)
        for point in ledger.table["point"].unique()
    }
    by_slice = {
        f"{name}[{slice}]": column
        for name in sorted(names)
        for slice in sorted(ledger.slices(CONFIRM))
        if np.isfinite(
            column := ledger.at(CONFIRM, slice=slice)[:, names.index(name)]
        ).any()  # else: few positive rows
    }
    table = _table(ledger.table, points, dict(zip(names, values.T, strict=True)) | by_slice)
    drawn = ledger.draws[CONFIRM] * np.divide(
        values, confirm, out=np.ones_like(values), where=confirm > 0
    )
    goal = Goal(aim, values[ledger.current], served.random)
    scores = goal.worth(values)
    best = {point: int(rows[scores[rows].argmax()]) for point, rows in own.items()}
    start = best[table["point"][ledger.current]]
    true = posterior(values, drawn, [*best.values()], start, goal.utility, derive(seed, "choices"))
    again = np.maximum(
        true + np.roll(drawn - values, 1, axis=0), 0.0
    )  # other noise than that of the same draw
    again = again if served.seeded else again[:0]  # nobody knows what a retraining would do
    chance = {
        name: value
        for name, value in zip(names, served.random.tolist(), strict=True)
        if not of_items(name)
    }
    earns = aim.earned(goal.base)
    return Choices(table, names, drawn, ledger.current, ledger, again, served.today, chance, earns)


def head_choices(front: Frontier, points: Sequence[Point], seed: int = 0) -> Choices:
    """The points of the front of heads that were compared: confirmed ones and baselines, else what
    the search saw.

    Args:
        points: those of the front without what was measured on test.
    """
    facts = front.table[front.table["rank"].notna()].reset_index(drop=True)
    own = [point for point in points if point.id in set(facts["point"])]
    table = _table(facts, own, {})
    current = [
        row for row in range(len(own)) if own[row].role == "current" or own[row].id == STAND_IN
    ]
    now = min(current, key=lambda row: own[row].role != "current", default=None)
    draws = _draws(own, front.measures, seed)
    if len(draws):
        draws += table[list(front.names)].to_numpy(float) - estimates(own, front.measures)
    again = draws + np.roll(draws - draws.mean(axis=0), 1, axis=0) if len(draws) else draws
    return Choices(table, front.names, draws, now, retrained=again)


def _draws(points: Sequence[Point], objectives: Sequence[Objective], seed: int) -> Floats:
    """(D, N, M), what the true values may be on confirmation rows; D is 0 where not all have known
    noise.
    """
    samples = list(evidence_by_id(points, [each.key(CONFIRM) for each in objectives]).values())
    noise = seed_noise(samples) if samples and len(samples) == len(points) else None
    if noise is None:
        return np.zeros((0, len(points), len(objectives)))
    draws = posterior_draws(samples, noise, derive(seed, "choices"), HEAD_DRAWS)
    for row in (
        row for row, point in enumerate(points) if point.kind == STAND_IN
    ):  # the same models once more
        for place, metric in enumerate(samples[row].mean):
            same = (
                each
                for each, one in enumerate(samples)
                if each != row and one.mean[place] == metric
            )
            if (source := next(same, None)) is not None:
                draws[:, row, place] = draws[:, source, place]
    return draws


def _table(
    facts: pd.DataFrame, points: Iterable[Point], outcomes: Mapping[str, Floats]
) -> pd.DataFrame:
    """Facts with outcomes, each row's size, and metrics of heads and costs; NaN of a point that is
    not known.
    """
    known = {point.id: point for point in points}
    own = [known.get(str(point)) for point in facts["point"]]
    runs = [
        run
        for point in own
        if point
        for run in (point.metrics, *(each.metrics for each in point.replicates))
    ]
    keys = [
        key for run in runs for key in run if key.startswith((f"{SEARCH}/", f"{CONFIRM}/", "cost/"))
    ]
    names = dict.fromkeys(
        key.removeprefix(f"{SEARCH}/").removeprefix(f"{CONFIRM}/") for key in keys
    )
    heads = {name: _values(own, name) for name in names if name not in outcomes}
    size = pd.Series(heads.get("cost/parameters", [np.nan] * len(own)), dtype=float).fillna(np.inf)
    more = pd.DataFrame({**outcomes, "size": size, **heads}, index=facts.index)
    return pd.concat([facts[list(FACTS)], more], axis=1)


def _values(points: Sequence[Point | None], name: str) -> Floats:
    found = [
        [estimate(each, name, split) if each else np.nan for each in points]
        for split in (CONFIRM, SEARCH)
    ]
    confirm, searched = np.array(found, dtype=float)[..., None]
    return together(confirm, searched)[:, 0]
