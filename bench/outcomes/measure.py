"""Outcomes of rankings: what a score that ranks rows does for each task.

A task's label is its joint one, on all impressions. By group: `ndcg@k` (gain: the label; discount 1 / log2(rank + 1);
over the ideal; mean over groups whose labels differ), `recall@k` and `value@k` (share of the group's positives, or of
its labels' sum, in its first k rows; mean over groups that have any), `gauc` and `gauc_positives` (mean area under the
curve over groups with both classes, weighted by rows or by positives). Over all rows: `recall@q%`, `value@q%`, `auc`;
and where no row has a group, `ndcg@k`, `recall@k` and `value@k`. Among equal scores every order counts alike.

Where rows have weights, shares of all rows and areas count a row of weight w as w equal rows. Lists do not: a place
among the first k is one row's, whatever it weighs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.objectives import AREAS, ranked
from bench.outcomes.bootstrap import Drawn, units_of
from bench.outcomes.grouped import Grouped
from bench.outcomes.tops import AREA, AREA_BY_POSITIVES, NDCG, SHARE, Floats, Wanted
from bench.outcomes.weighted import WeightedWhole
from bench.outcomes.whole import Whole
from bench.schema import Task

ROWS_A_GROUP = 2
"""Groups of fewer rows on average say little about an order within them."""


def default_outcomes(tasks: Sequence[Task], group: NDArray[Any]) -> tuple[str, ...]:
    """One of each task: `ndcg@5` where a group has two rows on average, else `recall@10%`, `value@10%` of a regression.

    Args:
        group: (N,), negative where a row has none.
    """
    known = group[group >= 0]
    if len(known) >= ROWS_A_GROUP * max(1, len(np.unique(known))):
        return tuple(f"{task.name}.ndcg@5" for task in tasks)
    return tuple(f"{task.name}.{'recall' if task.kind == 'binary' else 'value'}@10%" for task in tasks)


_KINDS = {"auc": AREA, "gauc": AREA, "gauc_positives": AREA_BY_POSITIVES, "ndcg": NDCG, "recall": SHARE, "value": SHARE}


class Measure:
    """Outcomes of rankings of one set of rows: prepared once, asked for many scores.

    Args:
        tasks: in the order of the labels' columns.
        outcomes: `<task>.<outcome>`, see above.
        labels: (N, T), joint; NaN where unobserved: such a row does not count for that task.
        group: (N,), negative where there is none. Where some rows have one, the others do not count by group.
        split: whose resamples.
        resamples: B.
        units: (N,), what is drawn as a whole, see `bench.outcomes.bootstrap`; the same for all rows of a group. None
            takes these rows as the whole split.
        grouped: whether to rank by group; by itself where any row has one.
        weights: (N,), at least 0; None for equal ones.

    Attributes:
        names: the outcomes, (M,).

    Raises:
        ValueError: an outcome's name or task is unknown.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        outcomes: Sequence[str],
        labels: NDArray[Any],
        group: NDArray[Any],
        split: str,
        resamples: int = 0,
        units: NDArray[np.uint64] | None = None,
        grouped: bool | None = None,
        weights: NDArray[Any] | None = None,
    ) -> None:
        self.names = tuple(outcomes)
        grouped = bool((group >= 0).any()) if grouped is None else grouped
        columns, wanted = columns_of(tasks, outcomes, grouped)
        gains = columns.gains(labels)
        drawn = Drawn(units_of(group, 0) if units is None else units, split, resamples) if resamples else None
        self._prepare(np.arange(len(labels)), gains, group, wanted, drawn, weights)

    def _prepare(
        self,
        rows: NDArray[np.int64],
        gains: NDArray[np.float32],
        group: NDArray[Any],
        wanted: Sequence[tuple[str, Wanted] | None],
        drawn: Drawn | None,
        weights: NDArray[Any] | None,
    ) -> None:
        """Of rows (N',) among all, with their gains (C, N'), groups (N',) and weights (N',)."""
        self._rows, self._gains, self._group, self._wanted, self._drawn = rows, gains, group, wanted, drawn
        self._weights = weights = None if weights is None else np.asarray(weights, np.float64)
        by_group = [at for at, each in enumerate(wanted) if each is not None and each[0] == "group"]
        self._parts: list[tuple[list[int], NDArray[np.int64] | None, Grouped | Whole | WeightedWhole]] = []
        if by_group:
            of_group = Grouped(gains, group, [wanted[at][1] for at in by_group], weights)  # type: ignore[index]
            self._parts.append((by_group, None, of_group))
        sets: dict[tuple[bytes, bool], list[int]] = {}
        seen = ~np.isnan(gains)
        for at, each in enumerate(wanted):
            if each is not None and each[0] == "all":
                weighted = weights is not None and (each[1].percent or each[1].kind >= AREA)
                sets.setdefault((np.packbits(seen[each[1].column]).tobytes(), weighted), []).append(at)
        for (_, weighted), places in sets.items():
            of = [wanted[at][1] for at in places]  # type: ignore[index]
            there = seen[of[0].column]
            inside = None if there.all() else np.flatnonzero(there)
            own = gains if inside is None else gains[:, inside]
            if weighted and weights is not None:
                self._parts.append((places, inside, WeightedWhole(own, of, weights[there])))
            else:
                self._parts.append((places, inside, Whole(own, of)))
        if drawn is not None:
            for _, inside, part in self._parts:
                part.draw(drawn, rows if inside is None else rows[inside])

    def values(self, scores: NDArray[Any]) -> Floats:
        """(M,) outcomes of scores (N,); NaN where the rows do not define one."""
        scores = self._own(scores)
        found = np.full(len(self.names), np.nan)
        for places, inside, part in self._parts:
            found[places] = part.values(scores if inside is None else scores[inside])
        return found

    def resampled(self, scores: NDArray[Any]) -> Floats:
        """(1 + B, M): `values`, and the outcomes on each resample."""
        scores = self._own(scores)
        found = np.full((1 + (self._drawn.resamples if self._drawn else 0), len(self.names)), np.nan)
        for places, inside, part in self._parts:
            found[:, places] = part.resampled(scores if inside is None else scores[inside])
        return found

    def part(self, rows: NDArray[np.bool_]) -> Measure:
        """The same outcomes of some of the rows (N,) alone, on the same resamples; scores are still (N,)."""
        kept = np.flatnonzero(rows[self._rows])
        found = object.__new__(Measure)
        found.names = self.names
        weights = None if self._weights is None else self._weights[kept]
        found._prepare(self._rows[kept], self._gains[:, kept], self._group[kept], self._wanted, self._drawn, weights)
        return found

    def random(self) -> Floats:
        """(M,) expected outcomes of a random order."""
        return self.values(np.zeros(self._rows[-1] + 1 if len(self._rows) else 0))

    def _own(self, scores: NDArray[Any]) -> Floats:
        own = scores[self._rows].astype(np.float64)
        if not np.isfinite(own).all():
            raise ValueError("expected finite scores")
        return own


class Columns:
    """The gain columns that outcomes need: a task's label, floored at 0, or whether it is above 0."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, bool], int] = {}

    def place(self, task: int, binary: bool) -> int:
        """The number of a column, which is new where it is not yet there."""
        return self._of.setdefault((task, binary), len(self._of))

    def gains(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """Labels (N, T) -> (C, N); NaN where unobserved."""
        found = np.empty((len(self._of), len(labels)), np.float32)
        for (task, binary), at in self._of.items():
            own = labels[:, task]
            found[at] = np.where(np.isnan(own), np.nan, own > 0) if binary else np.maximum(own, 0)
        return found


def columns_of(
    tasks: Sequence[Task], outcomes: Sequence[str], grouped: bool
) -> tuple[Columns, list[tuple[str, Wanted] | None]]:
    """The columns of gains, and where each outcome is measured (`group` or `all`) and how.

    Args:
        grouped: whether any row has a group; without, None stands for an outcome that is by group alone.

    Raises:
        ValueError: an outcome's name or task is unknown.
    """
    columns, names = Columns(), [task.name for task in tasks]
    wanted: list[tuple[str, Wanted] | None] = []
    for name in outcomes:
        task, _, metric = name.partition(".")
        if task not in names:
            raise ValueError(f"outcome '{name}': expected a task of {', '.join(names)}, found '{task}'")
        at, of = names.index(task), ranked(metric)
        if of is None and metric not in AREAS:
            raise ValueError(f"expected an outcome of a ranking such as {task}.recall@10%, found '{name}'")
        column = columns.place(at, of is None or of.measure == "recall" or tasks[at].kind == "binary")
        if of is not None:
            where = "group" if grouped and not of.percent else "all"
            wanted.append((where, Wanted(column, _KINDS[of.measure], of.cut, of.percent)))
        elif metric == "auc" or grouped:
            wanted.append(("all" if metric == "auc" else "group", Wanted(column, _KINDS[metric])))
        else:
            wanted.append(None)
    return columns, wanted
