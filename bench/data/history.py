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

from bench.core.arrays import Floats, Ints
from bench.core.registry import Config
from bench.core.system.mapped import mapped
from bench.core.system.progress import Progress
from bench.data.arrays import read_parts

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

    `of` is the categorical input whose value they share with the row; None for all of the group.
    """

    action: str
    kind: NumberKind
    of: str | None = None

    @property
    def name(self) -> str:
        """Of the input."""
        same = "" if self.of is None else f"_same_{self.of}"
        return f"past_{self.action}{same}" + ("" if self.kind == "count" else f"_{self.kind}")


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
        actions = self.actions or (SEEN,)
        return tuple(
            ListRule(f"past_{action}_{of}", of, action) for of in self.lists for action in actions
        )

    @property
    def number_rules(self) -> tuple[NumberRule, ...]:
        """The M numbers, in order: of all earlier rows, rates, then of rows with the row's own
        value.
        """
        actions = (SEEN, *self.actions)
        kinds: tuple[NumberKind, ...] = ("count", "since")
        plain = [NumberRule(action, kind) for action in actions for kind in kinds]
        rates = [NumberRule(action, "rate") for action in self.actions]
        own = [
            NumberRule(action, kind, of) for of in self.same for action in actions for kind in kinds
        ]
        return (*plain, *rates, *own)

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

    group: NDArray[np.int32]
    """(n,), -1 where there is none."""
    time: Floats
    """(n,), NaN where missing."""
    split: NDArray[np.int8]
    """(n,), index into `SPLITS`."""
    codes: NDArray[np.int32]
    """(n, inputs) of the inputs that the history follows, -1 where missing."""
    acted: NDArray[np.bool_]
    """(n, actions) whether a row has each named action."""


class Past(NamedTuple):
    """What is known of n rows."""

    lists: NDArray[np.int32]
    """(n, lists, length) codes, newest first, -1 after the last; missing values are left out."""
    numbers: Floats
    """(n, M), NaN where there is none."""


class _Runs:
    """Rows sorted by key and time; those without a key or a time are left out.

    At each sorted place (m,): `order`, the row there; `start` and `end`, the places between which
    its past lies; `labelled`, up to which place the past's labels are known.
    """

    def __init__(
        self, keys: Sequence[NDArray[np.int32]], time: Floats, at: Ints, delay: float
    ) -> None:
        known = at[np.all([key[at] >= 0 for key in keys], axis=0) & ~np.isnan(time[at])]
        by: list[NDArray[Any]] = [known, time[known], *(key[known] for key in reversed(keys))]
        self.order = known[np.lexsort(by)]
        new = np.ones(len(known), np.bool_)
        new[1:] = np.any([key[self.order][1:] != key[self.order][:-1] for key in keys], axis=0)
        self.time = time[self.order]
        later = new.copy()
        later[1:] |= self.time[1:] != self.time[:-1]
        place = np.arange(len(known))
        self.start = np.maximum.accumulate(np.where(new, place, 0))
        self.end = np.maximum.accumulate(np.where(later, place, 0))
        self.labelled = self.end
        if (
            delay
        ):  # at each place, how many places lie in earlier runs, or are at least `delay` older
            run, m = np.cumsum(new), len(known)
            asked = np.repeat([False, True], m)
            order = np.lexsort(
                [asked, np.append(self.time, self.time - delay), np.append(run, run)]
            )
            found = np.empty(m, np.int64)
            found[order[asked[order]] - m] = np.cumsum(~asked[order])[asked[order]]
            self.labelled = np.minimum(
                found, self.end
            )  # where the delay is too small for the time's precision


class _Actions:
    """The past's rows with an action (n,), of those up to `end`: from `first` up to `last` among
    `places`.
    """

    def __init__(self, runs: _Runs, acted: NDArray[np.bool_], end: Ints) -> None:
        acted = acted[runs.order]
        self.runs, self.places = runs, np.flatnonzero(acted)
        before: Ints = np.append(0, np.cumsum(acted))
        self.first, self.last = before[runs.start], before[end]

    @property
    def count(self) -> Ints:
        return self.last - self.first

    def since(self) -> Floats:
        there = self.last > self.first
        found = np.full(len(there), np.nan)
        found[there] = self.runs.time[there] - self.runs.time[self.places[self.last[there] - 1]]
        return found

    def newest(self, codes: NDArray[np.int32], many: int) -> NDArray[np.int32]:
        at = self.last[:, None] - 1 - np.arange(many)
        there = at >= self.first[:, None]
        found = np.full(at.shape, -1, np.int32)
        found[there] = codes[self.runs.order[self.places[at[there]]]]
        return found


def past(rows: GroupRows, config: HistoryConfig, within: bool = True) -> Past:
    """The past of rows of whole groups; rows see those of their own split, too, if `within`."""
    n, inputs = len(rows.group), config.inputs
    lists = np.full((n, len(config.list_rules), config.length), -1, np.int32)
    column = {rule: at for at, rule in enumerate(config.number_rules)}
    numbers = np.tile([0.0 if rule.kind == "count" else np.nan for rule in column], (n, 1))
    acted = {SEEN: np.ones(n, np.bool_)} | {
        name: rows.acted[:, at] for at, name in enumerate(config.actions)
    }
    for split in np.unique(rows.split):
        visible = np.flatnonzero(rows.split <= split)
        counted = rows.split <= split if within else rows.split < split
        for of in (None, *config.same):
            keys = [rows.group] if of is None else [rows.group, rows.codes[:, inputs.index(of)]]
            runs = _Runs(keys, rows.time, visible, config.label_delay)
            own = rows.split[runs.order] == split
            to = runs.order[own]
            ends = {action: runs.end if action == SEEN else runs.labelled for action in acted}
            labelled = _Actions(runs, counted, runs.labelled).count[own]
            for action, did in acted.items():
                found = _Actions(runs, did & counted, ends[action])
                numbers[to, column[NumberRule(action, "count", of)]] = count = found.count[own]
                numbers[to, column[NumberRule(action, "since", of)]] = found.since()[own]
                if (rate := column.get(NumberRule(action, "rate", of))) is not None:
                    numbers[to, rate] = np.divide(
                        count, labelled, where=labelled > 0, out=np.full(len(to), np.nan)
                    )
            for at, rule in enumerate(config.list_rules if of is None else ()):
                codes = rows.codes[:, inputs.index(rule.of)]
                found = _Actions(
                    runs, acted[rule.action] & counted & (codes >= 0), ends[rule.action]
                )
                lists[to, at] = found.newest(codes, config.length)[own]
    return Past(lists, numbers)


class Pasts:
    """The past of all rows of a store, on disk until it is encoded.

    Rows are divided by group into shares of about `ROWS_AT_ONCE` rows, each a file, and the past is
    computed share by share. It is read back in the order of the rows, which each share's file has,
    too. So files are read and written from their beginning to their end, and memory holds one
    share. `folders` hold what was spilled of each split.
    """

    def __init__(self, config: HistoryConfig, folders: Sequence[Path], progress: Progress) -> None:
        self.config, self.folders, self.progress = config, folders, progress
        lists = ("lists", np.int32, (len(config.list_rules), config.length))
        self._past = np.dtype([lists, ("numbers", np.float64, (len(config.numbers),))])
        self._shares = 1

    def compute(self, inputs: Sequence[int], actions: Sequence[int]) -> None:
        """Computes all of it; `inputs` and `actions` are places among the codes and labels that are
        spilled.
        """
        rows = sum(len(mapped(folder / "group.npy")) for folder in self.folders)
        self._shares = max(1, -(-rows // ROWS_AT_ONCE))
        codes_acted = [("codes", np.int32, (len(inputs),)), ("acted", np.bool_, (len(actions),))]
        event = np.dtype([("group", np.int32, ()), ("time", np.float64, ()), *codes_acted])
        for folder in self.folders:
            self._divide(folder, event, inputs, actions)
        with self.progress.task("histories", rows, "rows") as advance:
            for share in range(self._shares):
                events = [
                    np.fromfile(_file(folder, EVENTS, share), event) for folder in self.folders
                ]
                split = np.repeat(np.arange(len(events), dtype=np.int8), [len(of) for of in events])
                group, time, codes, acted = (
                    np.concatenate([part[name] for part in events])
                    for name in ("group", "time", "codes", "acted")
                )
                found = past(GroupRows(group, time, split, codes, acted), self.config)
                kept = np.empty(len(split), self._past)
                kept["lists"], kept["numbers"] = found
                for number, folder in enumerate(self.folders):
                    kept[slice(*np.searchsorted(split, [number, number + 1]))].tofile(
                        _file(folder, PAST, share)
                    )
                    _file(folder, EVENTS, share).unlink()
                advance(len(split))

    def _divide(
        self, folder: Path, event: np.dtype[Any], inputs: Sequence[int], actions: Sequence[int]
    ) -> None:
        """Writes a split's rows into a file for each share."""
        arrays = [mapped(folder / f"{name}.npy") for name in ("group", TIMES, "labels", "codes")]
        with ExitStack() as stack:
            files = [
                stack.enter_context(_file(folder, EVENTS, share).open("wb"))
                for share in range(self._shares)
            ]
            for group, time, labels, codes in zip(
                *(read_parts(array, PART) for array in arrays), strict=True
            ):
                events = np.empty(len(group), event)
                events["group"], events["time"] = group, time[:, 0]
                events["acted"], events["codes"] = labels[:, actions] == 1, codes[:, inputs]
                for share, at in self._of_shares(group):
                    events[at].tofile(files[share])

    def _of_shares(self, group: NDArray[np.int32]) -> Iterator[tuple[int, Ints]]:
        """Each share that has some of the rows (n,), and which of them in order."""
        share = group % self._shares
        order, ends = (
            np.argsort(share, kind="stable"),
            np.cumsum(np.bincount(share, minlength=self._shares)),
        )
        for each, at in enumerate(np.split(order, ends[:-1])):
            if len(at):
                yield each, at

    def parts(self, split: int, rows: int) -> Iterator[Past]:
        """The past of a split's rows, `rows` at a time."""
        with ExitStack() as stack:
            names = (_file(self.folders[split], PAST, share) for share in range(self._shares))
            files = [stack.enter_context(name.open("rb")) for name in names]
            for group in read_parts(mapped(self.folders[split] / "group.npy"), rows):
                found = np.empty(len(group), self._past)
                for share, at in self._of_shares(group):
                    found[at] = np.fromfile(files[share], self._past, len(at))
                yield Past(found["lists"], found["numbers"])

    def remove(self) -> None:
        """Removes the files."""
        for folder in self.folders:
            (folder / f"{TIMES}.npy").unlink()
            for share in range(self._shares):
                _file(folder, PAST, share).unlink()


def _file(folder: Path, name: str, share: int) -> Path:
    return folder / f"{name}{share}"
