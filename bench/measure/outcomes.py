"""Outcomes of rankings: what a score that ranks rows does for each task.

A task's label is its joint one, on all impressions. By group: `ndcg@k` (gain: the label; discount 1
/ log2(rank + 1); over the ideal; mean over groups whose labels differ), `recall@k` and `value@k`
(share of the group's positives, or of its labels' sum, in its first k rows; mean over groups that
have any), `map@k`, `mrr` and `mrr@k` (mean over groups with a positive; nothing without groups),
`gauc` and `gauc_positives` (mean area under the curve over groups with both classes, weighted by
rows or by positives). Over all rows: `recall@q%`, `value@q%`, `auc`; and where no row has a group,
`ndcg@k`, `recall@k` and `value@k`. Among equal scores every order counts alike.

Of a column of items in place of a task, by group or over all rows alike: `distinct@k` (values among
the first k rows) and `below7@k` (rows whose number is below 7). Both are over k, or over the
group's rows where these are fewer; mean over groups. Rows without a value take no place.

Where rows have weights, shares of all rows and areas count a row of weight w as w equal rows. Lists
do not: a place among the first k is one row's, whatever it weighs. A row of weight 0 does not count
at all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.objectives import AREAS, LISTS, of_items, ranked
from bench.core.schema import Task
from bench.measure.grouped import Grouped
from bench.measure.labelled import Labelled
from bench.measure.lists import measure_of
from bench.measure.lists.base import Walked, WantedOutcome
from bench.measure.resamples import Resamples
from bench.measure.whole import Rewalked, Whole


class Measure:
    """Outcomes of rankings of one set of rows and of slices of it: prepared once, asked for many
    scores.

    Args:
        tasks: in the order of the labels' columns.
        outcomes: `<task>.<outcome>` or `<column of items>.<outcome>`, see above.
        rows: whose labels are joint; one that is NaN does not count for that task. Where some rows
            have a group, the others do not count by group.
        slices: of each which rows (N,) it has, or what they count there in place of their weights;
            by itself there is one, all rows. All are ranked by group, or none is.
        drawn: the resamples, the same of all slices.
        grouped: whether to rank by group; by itself where any row has one.
        items: by name columns of items (N,): codes of a category, or numbers; NaN where missing.

    Attributes:
        names: the outcomes, (M,).
        slices: how many there are.
        units: by slice, how many are resampled; infinite without resamples.

    Raises:
        ValueError: an outcome's name or task is unknown.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        outcomes: Sequence[str],
        rows: Labelled,
        slices: Sequence[NDArray[Any]] | None = None,
        drawn: Resamples | None = None,
        grouped: bool | None = None,
        items: Mapping[str, Floats] | None = None,
    ) -> None:
        self.names, self._rows = tuple(outcomes), len(rows.group)
        grouped = bool((rows.group >= 0).any()) if grouped is None else grouped
        wanted = wanted_of(tasks, outcomes, grouped, items or ())
        gains = wanted.gains(rows.labels, items)
        plain = None if rows.weights is None else rows.weights.astype(np.float64)
        self._parts: list[tuple[int, list[int], NDArray[np.int64], Grouped | Whole | Rewalked]] = []
        every = [np.ones(self._rows, np.bool_)] if slices is None else slices
        self._resamples = drawn.resamples if drawn else 0
        self.slices = len(every)
        self.units = list[float]()
        for at, inside in enumerate(every):
            weights = plain if inside.dtype == np.bool_ else inside
            own = np.flatnonzero(inside if weights is None else inside * weights)
            self.units.append(math.inf if drawn is None else drawn.many(own))
            of_rows = None if weights is None else weights[own]
            if wanted.by_group:
                of_group = Grouped(
                    gains.take(own, axis=1),
                    rows.group[own],
                    list(wanted.by_group.values()),
                    of_rows,
                )
                self._parts.append((at, list(wanted.by_group), own, of_group))
            self._parts += [(at, *part) for part in _whole(wanted.over_all, gains, own, weights)]
        if drawn is not None:
            for *_, own, part in self._parts:
                part.draw(drawn, own)

    def values(self, scores: NDArray[Any]) -> Floats:
        """(slices, M) outcomes of scores (N,); NaN where a slice does not define one."""
        values: Floats = self._measured(scores, 0)[0]
        return values

    def resampled(self, scores: NDArray[Any]) -> Floats:
        """(1 + B, slices, M): `values`, and the outcomes on each resample."""
        return self._measured(scores, self._resamples)

    def random(self) -> Floats:
        """(slices, M) expected outcomes of a random order."""
        return self.values(np.zeros(self._rows))

    def _measured(self, scores: NDArray[Any], resamples: int) -> Floats:
        scores = scores.astype(np.float64)
        if not np.isfinite(scores).all():
            raise ValueError("expected finite scores")
        values = np.full((1 + resamples, self.slices, len(self.names)), np.nan)
        for at, places, rows, part in self._parts:
            own = scores[rows]
            values[:, at, places] = part.resampled(own) if resamples else part.values(own)
        return values


def _whole(
    wanted: dict[int, WantedOutcome],
    gains: NDArray[np.float32],
    rows: NDArray[np.int64],
    weights: Floats | None,
) -> Iterator[tuple[list[int], NDArray[np.int64], Whole | Rewalked]]:
    """Outcomes over all of some rows: places, those of the rows that count, and the measure; one
    for equal rows.
    """
    seen = ~np.isnan(gains[:, rows])
    sets: dict[tuple[bytes, bool, bool], list[int]] = {}
    for at, each in wanted.items():
        weighted = weights is not None and each.weighted
        key = np.packbits(seen[each.column]).tobytes(), weighted, isinstance(each.measure, Walked)
        sets.setdefault(key, []).append(at)
    for (_, weighted, walked), places in sets.items():
        of = [wanted[at] for at in places]
        own = rows[seen[of[0].column]]
        known = gains.take(own, axis=1)
        if walked:
            yield places, own, Rewalked(known, of)
        else:
            yield (
                places,
                own,
                Whole(known, of, weights[own] if weighted and weights is not None else None),
            )


class AllWanted(NamedTuple):
    """How outcomes are measured.

    Attributes:
        columns: places of the gain columns: of a task its label, floored at 0, or whether (True) it
            is above 0.
        items: the same of a column of items: codes of its values, or whether they are below a limit
            (not 0).
        by_group, over_all: outcomes by their places.
    """

    columns: dict[tuple[int, bool], int]
    items: dict[tuple[str, float], int]
    by_group: dict[int, WantedOutcome]
    over_all: dict[int, WantedOutcome]

    def gains(
        self, labels: NDArray[Any], items: Mapping[str, Floats] | None = None
    ) -> NDArray[np.float32]:
        """Labels (N, T), or (N,) of one task, and columns of items (N,) -> (C, N); NaN where
        unobserved.
        """
        rows = np.full((len(self.columns) + len(self.items), len(labels)), np.nan, np.float32)
        for (task, binary), at in self.columns.items():
            own = labels if labels.ndim == 1 else labels[:, task]
            rows[at] = np.where(np.isnan(own), np.nan, own > 0) if binary else np.maximum(own, 0)
        for (name, limit), at in self.items.items():
            values = (items or {})[name]
            known = ~np.isnan(values)
            rows[at, known] = (
                values[known] < limit if limit else np.unique(values[known], return_inverse=True)[1]
            )
        return rows


def wanted_of(
    tasks: Sequence[Task], outcomes: Sequence[str], grouped: bool, items: Collection[str] = ()
) -> AllWanted:
    """How to measure outcomes; raises ValueError for an unknown outcome or task.

    Args:
        grouped: whether any row has a group; without, an outcome that is by group alone is left
            out.
        items: names of columns.
    """
    wanted, names = AllWanted({}, {}, {}, {}), [task.name for task in tasks]
    for place, name in enumerate(outcomes):
        task, _, metric = name.partition(".")
        of, columns = ranked(metric), len(wanted.columns) + len(wanted.items)
        if task not in (known := items if of_items(name) else names):
            raise ValueError(
                f"outcome '{name}': expected one of {', '.join(known)}, found '{task}'"
            )
        if of is None and metric not in AREAS:
            raise ValueError(
                f"expected an outcome of a ranking such as {task}.recall@10%, found '{name}'"
            )
        if of is not None and of_items(name):
            column = wanted.items.setdefault((task, of.limit), columns)
        else:
            at = names.index(task)
            binary = of is None or LISTS[of.measure].binary or tasks[at].kind == "binary"
            column = wanted.columns.setdefault((at, binary), columns)
        if of is None:
            outcome = WantedOutcome(column, measure_of(metric), weighted=True)
            over_all = metric == "auc"
        else:
            weighted = of.percent and not of_items(name)
            outcome = WantedOutcome(column, measure_of(of.measure), of.cut, of.percent, weighted)
            over_all = of.percent or not grouped
        if over_all and outcome.measure.over_all:
            wanted.over_all[place] = outcome
        elif grouped:
            wanted.by_group[place] = outcome
    return wanted
