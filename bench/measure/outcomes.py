"""Outcomes of rankings: what a score that ranks rows does for each task.

A task's label is its joint one, on all impressions. By group: `ndcg@k` (gain: the label; discount 1
/ log2(rank + 1); over the ideal; mean over groups whose labels differ), `recall@k` and `value@k`
(share of the group's positives, or of its labels' sum, in its first k rows; mean over groups that
have any), `map@k`, `mrr` and `mrr@k` (mean over groups with a positive; nothing without groups),
`gauc` and `gauc_positives` (mean area under the curve over groups with both classes, weighted by
rows or by positives). Over all rows: `recall@q%`, `value@q%`, `recall@p-q%` and `value@p-q%` (the
mean over all cuts from p to q per cent), `auc`; and where no row has a group,
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
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints, Singles
from bench.core.objectives import AREAS, LISTS, Ranked, of_items, ranked
from bench.core.schema import Task
from bench.measure.grouped import Grouped
from bench.measure.lists import measure_of
from bench.measure.lists.base import Walked, WantedOutcome
from bench.measure.resamples import Resamples
from bench.measure.spaces import Labelled
from bench.measure.whole import Rewalked, Whole


class _Part(NamedTuple):
    """Outcomes that are measured together, on the rows of one slice that count for them."""

    slice: int
    outcomes: list[int]
    rows: Ints
    measure: Grouped | Whole | Rewalked


class Measure:
    """Outcomes of rankings of one set of rows and of slices of it: prepared once, asked for many
    scores.

    Args:
        tasks: in the order of the labels' columns.
        outcomes: `<task>.<outcome>` or `<column of items>.<outcome>`, see above.
        rows: whose labels are joint; one that is NaN does not count for that task. Where some rows
            have a group, the others do not count by group.
        slices: of each which rows (N,) it has, or what they count there in place of their weights;
            by default there is one, all rows. All are ranked by group, or none is.
        drawn: the resamples, the same of all slices.
        grouped: whether to rank by group; by default where any row has one.
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
        self.names = tuple(outcomes)
        self._rows = len(rows.group)
        if grouped is None:
            grouped = bool((rows.group >= 0).any())
        if slices is None:
            slices = [np.ones(self._rows, np.bool_)]
        wanted = wanted_of(tasks, outcomes, grouped, items or ())
        gains = wanted.gains(rows.labels, items)

        self.slices = len(slices)
        self._parts: list[_Part] = []
        rows_of_slices = []
        for index, inside in enumerate(slices):
            weights = _weights_in(inside, rows)
            in_slice = np.flatnonzero(inside if weights is None else inside * weights)
            rows_of_slices.append(in_slice)
            if wanted.by_group:
                self._parts.append(_part_by_group(index, wanted, gains, rows, in_slice, weights))
            self._parts += _parts_over_all(index, wanted.over_all, gains, in_slice, weights)

        self._resamples = 0
        self.units = [math.inf] * len(slices)
        if drawn is not None:
            self._resamples = drawn.resamples
            self.units = list(map(drawn.unit_count, rows_of_slices))
            for part in self._parts:
                part.measure.draw(drawn, part.rows)

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
        for part in self._parts:
            measure = part.measure.resampled if resamples else part.measure.values
            values[:, part.slice, part.outcomes] = measure(scores[part.rows])
        return values


def _weights_in(inside: NDArray[Any], rows: Labelled) -> Floats | None:
    """(N,), what rows count in a slice, see `Measure`; None for 1 each."""
    if inside.dtype != np.bool_:
        return inside
    return None if rows.weights is None else rows.weights_or_ones


def _part_by_group(
    index: int,
    wanted: AllWanted,
    gains: Singles,
    rows: Labelled,
    in_slice: Ints,
    weights: Floats | None,
) -> _Part:
    """A slice's outcomes within groups."""
    measure = Grouped(
        gains.take(in_slice, axis=1),
        rows.group[in_slice],
        list(wanted.by_group.values()),
        None if weights is None else weights[in_slice],
    )
    return _Part(index, list(wanted.by_group), in_slice, measure)


def _parts_over_all(
    index: int,
    wanted: dict[int, WantedOutcome],
    gains: Singles,
    in_slice: Ints,
    weights: Floats | None,
) -> Iterator[_Part]:
    """A slice's outcomes over all of its rows: one part for those of the same rows, weights and
    way to measure.
    """
    observed = ~np.isnan(gains[:, in_slice])
    by_key: dict[tuple[bytes, bool, bool], list[int]] = {}
    for place, outcome in wanted.items():
        rows_key = np.packbits(observed[outcome.column]).tobytes()
        weighted = weights is not None and outcome.weighted
        key = rows_key, weighted, isinstance(outcome.measure, Walked)
        by_key.setdefault(key, []).append(place)
    for (_, weighted, walked), places in by_key.items():
        outcomes = [wanted[place] for place in places]
        rows = in_slice[observed[outcomes[0].column]]
        columns = gains.take(rows, axis=1)
        if walked:
            yield _Part(index, places, rows, Rewalked(columns, outcomes))
        elif weighted and weights is not None:
            yield _Part(index, places, rows, Whole(columns, outcomes, weights[rows]))
        else:
            yield _Part(index, places, rows, Whole(columns, outcomes))


@dataclass
class AllWanted:
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

    def gains(self, labels: NDArray[Any], items: Mapping[str, Floats] | None = None) -> Singles:
        """Labels (N, T), or (N,) of one task, and columns of items (N,) -> (C, N); NaN where
        unobserved.
        """
        rows = np.full((len(self.columns) + len(self.items), len(labels)), np.nan, np.float32)
        for (task, binary), place in self.columns.items():
            label = labels if labels.ndim == 1 else labels[:, task]
            if binary:
                rows[place] = np.where(np.isnan(label), np.nan, label > 0)
            else:
                rows[place] = np.maximum(label, 0)
        for (name, limit), place in self.items.items():
            values = (items or {})[name]
            observed = ~np.isnan(values)
            if limit:
                rows[place, observed] = values[observed] < limit
            else:
                _, codes = np.unique(values[observed], return_inverse=True)
                rows[place, observed] = codes
        return rows

    def column_of_task(self, task: int, binary: bool) -> int:
        """The place of a task's gains, a new one where there is none."""
        return self.columns.setdefault((task, binary), len(self.columns) + len(self.items))

    def column_of_items(self, name: str, limit: float) -> int:
        """The place of the gains of a column of items, a new one where there is none."""
        return self.items.setdefault((name, limit), len(self.columns) + len(self.items))


def wanted_of(
    tasks: Sequence[Task], outcomes: Sequence[str], grouped: bool, items: Collection[str] = ()
) -> AllWanted:
    """How to measure outcomes; raises ValueError for an unknown outcome or task.

    Args:
        grouped: whether any row has a group; without, an outcome that is by group alone is left
            out.
        items: names of columns.
    """
    wanted = AllWanted({}, {}, {}, {})
    names = [task.name for task in tasks]
    for place, name in enumerate(outcomes):
        subject, _, metric = name.partition(".")
        _check_subject(name, items if of_items(name) else names)
        parsed = ranked(metric)
        if parsed is None:
            outcome = _area(wanted, name, names)
            over_all = metric == "auc"
        else:
            if of_items(name):
                column = wanted.column_of_items(subject, parsed.limit)
            else:
                task = names.index(subject)
                binary = LISTS[parsed.measure].binary or tasks[task].kind == "binary"
                column = wanted.column_of_task(task, binary)
            outcome = _with_cut(parsed, column, weighted=not of_items(name))
            over_all = parsed.percent or not grouped
        if over_all and outcome.measure.over_all:
            wanted.over_all[place] = outcome
        elif grouped:
            wanted.by_group[place] = outcome
    return wanted


def _check_subject(name: str, subjects: Collection[str]) -> None:
    subject = name.partition(".")[0]
    if subject not in subjects:
        raise ValueError(
            f"outcome '{name}': expected one of {', '.join(subjects)}, found '{subject}'"
        )


def _area(wanted: AllWanted, name: str, tasks: Sequence[str]) -> WantedOutcome:
    task, _, metric = name.partition(".")
    if metric not in AREAS:
        raise ValueError(
            f"expected an outcome of a ranking such as {task}.recall@10%, found '{name}'"
        )
    column = wanted.column_of_task(tasks.index(task), binary=True)
    return WantedOutcome(column, measure_of(metric), weighted=True)


def _with_cut(parsed: Ranked, column: int, weighted: bool) -> WantedOutcome:
    return WantedOutcome(
        column,
        measure_of(parsed.measure),
        parsed.cut,
        parsed.percent,
        weighted=parsed.percent and weighted,
        whole_part=1.0 if parsed.first == parsed.cut else parsed.first / parsed.cut,
    )
