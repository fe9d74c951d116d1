"""What earlier rows of a row's group say of it: newest values by action, counts, rates, times
since.

Only rows of strictly earlier time count, so rows of one request see nothing of each other. Actions
count once their labels are known: rates are shares of rows with known labels. A row sees its own
split and the splits before it (train, valid, confirm, test), never one after it. Among rows of one
time, those of an earlier split count as older, then those that the log has first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.arrays import Floats, Ids, Ints, Mask
from bench.core.registry import Config
from bench.core.system.mapped import mapped
from bench.core.system.progress import Progress
from bench.data.npy_files import read_parts

SEEN = "seen"
"""The action that every row is."""
ROWS_AT_ONCE = 1 << 18
"""Rows that are worked on at once, about; a group is never divided."""
PART = 1 << 16
"""Rows of a part that is read back."""
TIMES, EVENTS, PAST = "times", "events", "past"

NumberKind = Literal["count", "since", "rate"]


class ListRule(NamedTuple):
    """A list input: the newest values of a categorical input at rows with an action."""

    name: str
    of: str
    action: str


class NumberRule(NamedTuple):
    """A number: of earlier rows with an action, how many, how long since the last, or their share
    of labelled rows.

    `same` is the categorical input whose value they share with the row; None for all of the group.
    """

    action: str
    kind: NumberKind
    same: str | None = None

    @property
    def name(self) -> str:
        """The input's name."""
        same = "" if self.same is None else f"_same_{self.same}"
        kind = "" if self.kind == "count" else f"_{self.kind}"
        return f"past_{self.action}{same}{kind}"


class HistoryConfig(Config):
    """`[history]` of a card. The group is the card's."""

    time: str | None = None
    """Raw number column that orders a group's rows; the card's `time` where absent."""
    actions: tuple[str, ...] = ()
    """Binary tasks; a row with label 1 is an action. That a row was seen is one without being
    named.
    """
    lists: tuple[str, ...] = ()
    """Categorical inputs whose newest values are kept for each named action, or for `seen` where
    none is named.
    """
    same: tuple[str, ...] = ()
    """Categorical inputs for which counts and times are also taken over rows with the row's own
    value.
    """
    length: int = Field(20, ge=2, le=1000)
    """Values of a list, at the most."""
    label_delay: float = Field(0.0, ge=0, allow_inf_nan=False)
    """How long after a row its labels become known, in the unit of `time`; with 0, before the next
    row.
    """

    @property
    def list_rules(self) -> tuple[ListRule, ...]:
        """The lists, in order."""
        rules = []
        for source in self.lists:
            for action in self.actions or (SEEN,):
                rules.append(ListRule(f"past_{action}_{source}", source, action))
        return tuple(rules)

    @property
    def number_rules(self) -> tuple[NumberRule, ...]:
        """The M numbers, in order: of all earlier rows, rates, then of rows with the row's own
        value.
        """
        rates = [NumberRule(action, "rate") for action in self.actions]
        rules = [*self._counts_and_times(None), *rates]
        for same in self.same:
            rules += self._counts_and_times(same)
        return tuple(rules)

    def _counts_and_times(self, same: str | None) -> list[NumberRule]:
        rules = []
        for action in (SEEN, *self.actions):
            rules += [NumberRule(action, "count", same), NumberRule(action, "since", same)]
        return rules

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the M numbers."""
        return tuple(rule.name for rule in self.number_rules)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The categorical inputs that it follows."""
        return tuple(dict.fromkeys((*self.lists, *self.same)))


class GroupRows(NamedTuple):
    """n rows of some groups, whole."""

    group: Ids
    """(n,), -1 where there is none."""
    time: Floats
    """(n,), NaN where missing."""
    split: NDArray[np.int8]
    """(n,), index into `SPLITS`."""
    codes: Ids
    """(n, inputs) of the inputs that the history follows, -1 where missing."""
    acted: Mask
    """(n, actions) whether a row has each named action."""


class Past(NamedTuple):
    """The history of n rows."""

    lists: Ids
    """(n, lists, length) codes, newest first, -1 after the last; missing values are left out."""
    numbers: Floats
    """(n, M), NaN where there is none."""


class _Runs:
    """Rows sorted by keys and time; those without a key or a time are left out. A run has equal
    keys.

    At each sorted place (m,): `order`, the row there; `start` and `end`, the places between which
    its past lies; `labelled_end`, up to which place the past's labels are known.
    """

    def __init__(self, keys: Sequence[Ids], time: Floats, rows: Ints, delay: float) -> None:
        sortable = ~np.isnan(time[rows])
        for key in keys:
            sortable &= key[rows] >= 0
        rows = rows[sortable]
        sort_keys: list[NDArray[Any]] = [rows, time[rows]]
        sort_keys += [key[rows] for key in reversed(keys)]
        self.order = rows[np.lexsort(sort_keys)]
        self.time = time[self.order]

        starts_run = np.any([_changes(key[self.order]) for key in keys], axis=0)
        self.start = _latest(starts_run)
        self.end = _latest(starts_run | _changes(self.time))
        self.labelled_end = self.end
        if delay:
            older = _places_older_by(delay, self.time, np.cumsum(starts_run))
            # `older` is too large where the delay is too small for the time's precision.
            self.labelled_end = np.minimum(older, self.end)


def _changes(values: NDArray[Any]) -> Mask:
    """(m,) whether a value differs from the one before; true of the first."""
    changes = np.ones(len(values), np.bool_)
    changes[1:] = values[1:] != values[:-1]
    return changes


def _latest(flags: Mask) -> Ints:
    """(m,) the latest place up to each that has the flag."""
    latest: Ints = np.maximum.accumulate(np.where(flags, np.arange(len(flags)), 0))
    return latest


def _places_older_by(delay: float, time: Floats, run: Ints) -> Ints:
    """At each sorted place (m,), how many places lie in earlier runs, or are at least `delay`
    older.
    """
    m = len(time)
    is_query = np.repeat([False, True], m)
    times = np.append(time, time - delay)
    order = np.lexsort([is_query, times, np.append(run, run)])
    query_sorted = is_query[order]
    places_before = np.cumsum(~query_sorted)
    older = np.empty(m, np.int64)
    older[order[query_sorted] - m] = places_before[query_sorted]
    return older


class _Actions:
    """The past's rows with an action (n,), of those up to `end`: from `first` up to `last` among
    `places`.
    """

    def __init__(self, runs: _Runs, acted: Mask, end: Ints) -> None:
        acted = acted[runs.order]
        acted_before: Ints = np.append(0, np.cumsum(acted))
        self.runs = runs
        self.places = np.flatnonzero(acted)
        self.first, self.last = acted_before[runs.start], acted_before[end]

    @property
    def count(self) -> Ints:
        return self.last - self.first

    def since(self) -> Floats:
        has_any = self.last > self.first
        since = np.full(len(has_any), np.nan)
        newest = self.places[self.last[has_any] - 1]
        since[has_any] = self.runs.time[has_any] - self.runs.time[newest]
        return since

    def newest(self, codes: Ids, length: int) -> Ids:
        index = self.last[:, None] - 1 - np.arange(length)
        in_past = index >= self.first[:, None]
        newest = np.full(index.shape, -1, np.int32)
        newest[in_past] = codes[self.runs.order[self.places[index[in_past]]]]
        return newest


def past(rows: GroupRows, config: HistoryConfig, own_split: bool = True) -> Past:
    """The past of rows of whole groups; rows see those of their own split, too, if `own_split`."""
    n = len(rows.group)
    defaults = [0.0 if rule.kind == "count" else np.nan for rule in config.number_rules]
    result = Past(
        np.full((n, len(config.list_rules), config.length), -1, np.int32),
        np.tile(defaults, (n, 1)),
    )
    for split in np.unique(rows.split):
        for same in (None, *config.same):
            split_past = _SplitPast(rows, config, split, same, own_split)
            split_past.fill_numbers(result.numbers)
            if same is None:
                split_past.fill_lists(result.lists)
    return result


class _SplitPast:
    """Fills in the past of a split's rows: of their group, or of its rows with the same value of an
    input.
    """

    def __init__(
        self, rows: GroupRows, config: HistoryConfig, split: int, same: str | None, own_split: bool
    ) -> None:
        self._rows, self._config, self._same = rows, config, same
        visible = rows.split <= split
        keys = [rows.group]
        if same is not None:
            keys.append(self._codes(same))
        self._runs = _Runs(keys, rows.time, np.flatnonzero(visible), config.label_delay)
        self._counted = visible if own_split else rows.split < split
        self._places = rows.split[self._runs.order] == split
        self._filled = self._runs.order[self._places]

    def _codes(self, source: str) -> Ids:
        return self._rows.codes[:, self._config.inputs.index(source)]

    def _actions(self, action: str, counted: Mask) -> _Actions:
        if action == SEEN:
            return _Actions(self._runs, counted, self._runs.end)
        acted = self._rows.acted[:, self._config.actions.index(action)]
        return _Actions(self._runs, acted & counted, self._runs.labelled_end)

    def fill_numbers(self, numbers: Floats) -> None:
        column_of_rule = {rule: column for column, rule in enumerate(self._config.number_rules)}
        labelled_rows = _Actions(self._runs, self._counted, self._runs.labelled_end)
        labelled = labelled_rows.count[self._places]
        for action in (SEEN, *self._config.actions):
            actions = self._actions(action, self._counted)
            count = actions.count[self._places]
            since = actions.since()[self._places]
            numbers[self._filled, column_of_rule[NumberRule(action, "count", self._same)]] = count
            numbers[self._filled, column_of_rule[NumberRule(action, "since", self._same)]] = since
            rate_column = column_of_rule.get(NumberRule(action, "rate", self._same))
            if rate_column is not None:
                rate = np.full(len(count), np.nan)
                np.divide(count, labelled, where=labelled > 0, out=rate)
                numbers[self._filled, rate_column] = rate

    def fill_lists(self, lists: Ids) -> None:
        for column, rule in enumerate(self._config.list_rules):
            codes = self._codes(rule.of)
            actions = self._actions(rule.action, self._counted & (codes >= 0))
            newest = actions.newest(codes, self._config.length)
            lists[self._filled, column] = newest[self._places]


class Pasts:
    """The past of all rows of a store, on disk until it is encoded.

    Rows are divided by group into shares of about `ROWS_AT_ONCE` rows, each a file, and the past is
    computed share by share. It is read back in the order of the rows, which each share's file has,
    too. So files are read and written from their beginning to their end, and memory holds one
    share. `folders` hold the rows on disk of each split.
    """

    def __init__(self, config: HistoryConfig, folders: Sequence[Path], progress: Progress) -> None:
        self.config, self.folders, self.progress = config, folders, progress
        lists = ("lists", np.int32, (len(config.list_rules), config.length))
        self._past = np.dtype([lists, ("numbers", np.float64, (len(config.numbers),))])
        self._shares = 1

    def compute(self, inputs: Sequence[int], actions: Sequence[int]) -> None:
        """Computes all of it; `inputs` and `actions` are places among the rows' codes and labels on
        disk.
        """
        rows = sum(len(mapped(folder / "group.npy")) for folder in self.folders)
        self._shares = max(1, -(-rows // ROWS_AT_ONCE))
        event = np.dtype(
            [
                ("group", np.int32),
                ("time", np.float64),
                ("codes", np.int32, (len(inputs),)),
                ("acted", np.bool_, (len(actions),)),
            ]
        )
        for folder in self.folders:
            self._divide(folder, event, inputs, actions)
        with self.progress.task("histories", rows, "rows") as advance:
            for share in range(self._shares):
                advance(self._compute_share(share, event))

    def _divide(
        self, folder: Path, event: np.dtype[Any], inputs: Sequence[int], actions: Sequence[int]
    ) -> None:
        """Writes a split's rows into a file for each share."""
        names = ("group", TIMES, "labels", "codes")
        parts = [read_parts(mapped(folder / f"{name}.npy"), PART) for name in names]
        with ExitStack() as stack:
            files = [
                stack.enter_context(_file(folder, EVENTS, share).open("wb"))
                for share in range(self._shares)
            ]
            for group, time, labels, codes in zip(*parts, strict=True):
                events = np.empty(len(group), event)
                events["group"], events["time"] = group, time[:, 0]
                events["acted"], events["codes"] = labels[:, actions] == 1, codes[:, inputs]
                for share, rows in self._rows_by_share(group):
                    events[rows].tofile(files[share])

    def _rows_by_share(self, group: Ids) -> Iterator[tuple[int, Ints]]:
        """Each share that has some of the rows (n,), and which of them in order."""
        share_of_row = group % self._shares
        order = np.argsort(share_of_row, kind="stable")
        ends = np.cumsum(np.bincount(share_of_row, minlength=self._shares))
        for share, rows in enumerate(np.split(order, ends[:-1])):
            if len(rows):
                yield share, rows

    def _compute_share(self, share: int, event: np.dtype[Any]) -> int:
        """Replaces the rows of a share on disk by their past; returns their number."""
        events = [np.fromfile(_file(folder, EVENTS, share), event) for folder in self.folders]
        sizes = [len(split_events) for split_events in events]
        split = np.repeat(np.arange(len(events), dtype=np.int8), sizes)
        columns = {}
        for name in ("group", "time", "codes", "acted"):
            columns[name] = np.concatenate([part[name] for part in events])
        rows = GroupRows(split=split, **columns)
        pasts = np.empty(len(split), self._past)
        pasts["lists"], pasts["numbers"] = past(rows, self.config)
        start = 0
        for folder, size in zip(self.folders, sizes, strict=True):
            end = start + size
            pasts[start:end].tofile(_file(folder, PAST, share))
            _file(folder, EVENTS, share).unlink()
            start = end
        return len(split)

    def parts(self, split: int, rows: int) -> Iterator[Past]:
        """The past of a split's rows, `rows` at a time."""
        folder = self.folders[split]
        with ExitStack() as stack:
            files = [
                stack.enter_context(_file(folder, PAST, share).open("rb"))
                for share in range(self._shares)
            ]
            for group in read_parts(mapped(folder / "group.npy"), rows):
                pasts = np.empty(len(group), self._past)
                for share, share_rows in self._rows_by_share(group):
                    pasts[share_rows] = np.fromfile(files[share], self._past, len(share_rows))
                yield Past(pasts["lists"], pasts["numbers"])

    def remove(self) -> None:
        """Removes the files."""
        for folder in self.folders:
            (folder / f"{TIMES}.npy").unlink()
            for share in range(self._shares):
                _file(folder, PAST, share).unlink()


def _file(folder: Path, name: str, share: int) -> Path:
    return folder / f"{name}{share}"
