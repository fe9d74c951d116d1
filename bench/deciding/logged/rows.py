"""The rows of a log in parts: those that choose weights, and those that judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Singles
from bench.core.errors import UserError, listed
from bench.core.exposure import exposure_of
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import TaskKind
from bench.core.seeds import derive, mixed
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.columns import label_kind
from bench.deciding.logged.doubts import check_parents
from bench.deciding.logged.log import LoggedRows, times, until
from bench.measure.predictions import MOST_OF_SPLIT, KeptRows, rates_of, sampled
from bench.measure.resamples import units_of

PARTS = {"choose": CONFIRM, "judge": TEST, SEARCH: SEARCH, CONFIRM: CONFIRM, TEST: TEST}
"""Values of a column that parts a log, and the splits that they are."""
ROWS_TO_CHOOSE, ENOUGH = 200_000, 5_000
"""Rows, and positives of the rarest task, with which weights are chosen well enough; more rows only
judge better.
"""
MOST_VALUES = 30
"""Values of a segment, the most frequent ones."""


@dataclass(frozen=True)
class Parted:
    """The rows that all models predict and none was trained on.

    Attributes:
        log: these rows.
        events: (N, T), joint labels.
        kinds: (T,), of events.
        labels: (N, T), events times their amounts: what outcomes are of.
        parts: by split the places of its rows.
        rows: by split.
        notes: sentences on what was left out.
    """

    log: LoggedRows
    events: Singles
    kinds: tuple[TaskKind, ...]
    labels: Singles
    parts: Mapping[str, NDArray[np.int64]]
    rows: Mapping[str, KeptRows]
    notes: list[str]


def parted(asked: Asked, log: LoggedRows) -> Parted:
    """The rows of a log; UserError without any, in some part or with some label, or for labels or
    amounts below 0.
    """
    log, notes = _kept(asked, log)
    alone = np.stack([log.numbers[name] for name in asked.labels], axis=1).astype(np.float32)
    kinds = _kinds(asked, log, alone)
    notes += check_parents(asked, alone, kinds, log.place)
    events = _joint(asked, alone)
    labels = _with_amounts(asked, log, events)
    whole = _parts(asked, log)
    parts = {split: _sampled(asked, log, labels, split, places) for split, places in whole.items()}
    of_labels = tuple(
        "regression" if name in asked.amounts else kinds[at] for at, name in enumerate(asked.labels)
    )
    rows = {
        split: _rows(asked, log, labels, of_labels, places, len(whole[split]))
        for split, places in parts.items()
    }
    rates = tuple(
        asked.rates.get(task, rate)
        for task, rate in zip(asked.labels, rows[CONFIRM].rates, strict=True)
    )
    rows = {split: replace(each, rates=rates) for split, each in rows.items()}
    for split, each in rows.items():
        _enough(each, split)
    sizes = " and judged on ".join(f"{len(parts[split]):,}" for split in (CONFIRM, TEST))
    notes = [f"Weights are chosen on {sizes} rows, called test.", *notes]
    return Parted(log, events, kinds, labels, parts, rows, notes)


def _kept(asked: Asked, log: LoggedRows) -> tuple[LoggedRows, list[str]]:
    """The rows that all models predict and none was trained on, and what was left out."""
    notes, before = list(log.notes), len(log)
    if asked.trained_until is not None and asked.time is not None:
        log = log.where(times(log, asked.time) > until(log, asked.time, asked.trained_until))
        if not len(log):
            raise UserError(f"trained_until: expected rows of a later {asked.time}, found none")
        last = (
            asked.trained_until
            if isinstance(asked.trained_until, str)
            else f"{asked.trained_until:g}"
        )
        notes.append(f"{before - len(log):,} rows up to {last}, of training, are left out.")
        before = len(log)
    columns = {*asked.scoring} - {*asked.labels, asked.random, asked.propensity}
    log = log.where(np.logical_and.reduce([np.isfinite(log.numbers[name]) for name in columns]))
    if len(log) < before:
        notes.append(
            f"{before - len(log):,} of {before:,} rows are left out, as a prediction or a score is "
            "missing."
        )
    if not len(log):
        raise UserError("expected rows with a prediction of every model, found none")
    return log, notes


def _kinds(asked: Asked, log: LoggedRows, alone: Singles) -> tuple[TaskKind, ...]:
    """Of labels (N, T) as the log has them; UserError for odd values, and for a parent that is a
    value.
    """
    kinds = tuple(
        label_kind(name, alone[:, at], asked.kinds.get(name), log.place)
        for at, name in enumerate(asked.labels)
    )
    for task, parent in asked.parents.items():
        if kinds[asked.labels.index(parent)] == "regression":
            raise UserError(
                f"parents: expected a parent of '{task}' that is 0 or 1, found '{parent}', which "
                "has other values"
            )
    return kinds


def _joint(asked: Asked, alone: Singles) -> Singles:
    """Labels (N, T) of each task together with its parents."""
    events = alone.copy()
    for at, name in enumerate(asked.labels):
        above = asked.parents.get(name)
        while above is not None:
            events[:, at] *= alone[:, asked.labels.index(above)]
            above = asked.parents.get(above)
    return events


def _with_amounts(asked: Asked, log: LoggedRows, events: Singles) -> Singles:
    """Labels (N, T) times their amounts; UserError for an amount below 0, or a product that no
    number holds.
    """
    if not asked.amounts:
        return events
    labels = events.copy()
    for name, column in asked.amounts.items():
        at, amounts = asked.labels.index(name), log.numbers[column]
        if amounts.min() < 0:
            row = int(amounts.argmin())
            raise UserError(
                f"expected amounts of at least 0 in '{column}', found {amounts[row]:g} in "
                f"{log.place(row)}"
            )
        with np.errstate(over="ignore"):
            labels[:, at] *= amounts
        if np.isinf(labels[:, at]).any():
            row = int(np.isinf(labels[:, at]).argmax())
            raise UserError(
                f"expected amounts in '{column}' whose product with '{name}' is finite, found "
                f"{amounts[row]:g} in {log.place(row)}"
            )
    return labels


def _parts(asked: Asked, log: LoggedRows) -> dict[str, NDArray[np.int64]]:
    """By split the places of its rows: by a column, by time, or by units."""
    for name in filter(None, (asked.group, asked.units)):
        if (many := len(np.unique(log.names[name][0]))) < 2:
            raise UserError(f"expected more than one value of '{name}', found {many}")
    if asked.part is not None:
        codes, of = log.names[asked.part]
        names = [str(each) for each in (of if len(of) else np.unique(codes))]
        if unknown := [name for name in names if name not in PARTS]:
            raise UserError(
                f"part: expected {listed(list(PARTS))} in '{asked.part}', found '{unknown[0]}'"
            )
        parts = {PARTS[name]: np.flatnonzero(codes == at) for at, name in enumerate(names)}
    elif asked.time is not None:
        when = times(log, asked.time)
        middle = float(np.quantile(when, 0.5, method="lower"))
        middle = (
            middle if (when > middle).any() else float(np.max(when[when < middle], initial=-np.inf))
        )
        parts = {CONFIRM: np.flatnonzero(when <= middle), TEST: np.flatnonzero(when > middle)}
    else:
        by = asked.units or asked.group
        units = np.arange(len(log)) if by is None else log.names[by][0]
        late = (
            mixed(mixed(np.uint64(derive(asked.seed, "judge")) ^ units.astype(np.uint64)))
            >> np.uint64(63)
            == 1
        )
        parts = {CONFIRM: np.flatnonzero(~late), TEST: np.flatnonzero(late)}
    for split, name in ((CONFIRM, "choose"), (TEST, "judge")):
        if not len(parts.get(split, ())):
            by = asked.part or asked.time or asked.units or asked.group or "rows"
            raise UserError(f"expected rows that {name} weights, found none: '{by}' parts the log")
    return {split: parts[split] for split in (SEARCH, CONFIRM, TEST) if split in parts}


def _sampled(
    asked: Asked, log: LoggedRows, labels: Singles, split: str, places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Those of a split's places that are kept: of very many whole units are sampled, or rows."""
    by, most = asked.units or asked.group, MOST_OF_SPLIT
    if split == CONFIRM and asked.part is None:
        least = float(np.nanmean(labels[places] > 0, axis=0).min())
        most = int(np.clip(ENOUGH / max(least, 1e-9), ROWS_TO_CHOOSE, MOST_OF_SPLIT))
    units = np.arange(len(places)) if by is None else log.names[by][0][places]
    return places[sampled(units.astype(np.uint64), split, len(places), most)]


def _rows(
    asked: Asked,
    log: LoggedRows,
    labels: Singles,
    kinds: tuple[TaskKind, ...],
    places: NDArray[np.int64],
    many: int,
) -> KeptRows:
    """The rows of a split, in the order of the log; `many`: how many there were before sampling."""
    group = (
        np.full(len(places), -1, np.int64)
        if asked.group is None
        else log.names[asked.group][0][places]
    )
    by = asked.units or asked.group
    units = units_of(
        np.full(len(places), -1, np.int64) if by is None else log.names[by][0][places], 0
    )
    own = labels[places]
    weights = None
    if asked.sampling is not None:
        weights = np.where(np.nan_to_num(own).max(axis=1) > 0, 1.0, 1 / asked.sampling).astype(
            np.float32
        )
    segments, codes = {}, np.full((len(places), len(asked.segments)), -1, np.int16)
    for at, name in enumerate(asked.segments):
        segments[name], codes[:, at] = _segment(*log.names[name], places)
    shown = [
        exposure_of(kind, column, log.numbers[column][places])
        for kind, column in asked.exposure.items()
    ]
    items = {name: _dense(log.names[column][0][places]) for name, column in asked.items.items()}
    items |= {
        name: log.numbers[of][places].astype(np.float64) for name, of in asked.item_numbers.items()
    }
    rows = KeptRows(
        labels=own,
        group=group.astype(np.int32),
        weights=weights,
        units=units,
        tasks=tuple(asked.labels),
        kinds=kinds,
        rates=(),
        segments=segments,
        codes=codes,
        logged={},
        of=many,
        exposure=next(iter(shown), None),
        items=items,
    )
    return replace(rows, rates=rates_of(own, rows.counts))


def _segment(
    codes: NDArray[np.int64], values: NDArray[Any], places: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """The most frequent values of a segment in a log, and which of them some rows have, -1 for
    another or none.

    Args:
        codes: (N,), -1 where missing; values: that they stand for, empty where they stand for
            themselves. They may be as large as an id, so nothing has their size.
    """
    distinct, counts = np.unique(codes[codes >= 0], return_counts=True)
    most = distinct[np.argsort(-counts, kind="stable")][:MOST_VALUES]
    order = np.argsort(most)
    found = np.searchsorted(most[order], codes[places])
    nearest = (
        order[np.minimum(found, len(most) - 1)] if len(most) else np.zeros(len(places), np.int64)
    )
    known = most[nearest] == codes[places] if len(most) else np.zeros(len(places), dtype=bool)
    names = values[most] if len(values) else most
    return tuple(map(str, names.tolist())), np.where(known, nearest, -1).astype(np.int16)


def _dense(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Codes (n,) as numbers from 0 without gaps, NaN where missing: single precision tells such
    ones apart.
    """
    return np.where(codes < 0, np.nan, np.unique(codes, return_inverse=True)[1].reshape(-1))


def _enough(rows: KeptRows, split: str) -> None:
    what = {CONFIRM: "that choose weights", TEST: "that judge", SEARCH: "of validation"}[split]
    counted = slice(None) if rows.counts is None else rows.counts > 0
    for name, own in zip(rows.tasks, rows.labels[counted].T, strict=True):
        if not np.isfinite(own).any():
            raise UserError(f"expected labels of '{name}' on the rows {what}, found none")
        if np.nanmin(own) == np.nanmax(own):
            raise UserError(
                f"expected rows {what} with and without '{name}', found {np.nanmax(own):g} in all"
            )
