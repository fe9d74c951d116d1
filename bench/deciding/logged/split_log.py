"""The rows of a log in splits: those that choose weights, and those that judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints, Singles
from bench.core.errors import UserError, listed
from bench.core.exposure import Exposure, exposure_of
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import TaskKind
from bench.core.seeds import derive, mixed
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.columns import label_kind
from bench.deciding.logged.doubts import ancestors, check_parents
from bench.deciding.logged.logged_rows import LoggedRows, NameColumn, times, until
from bench.measure.predictions import MOST_OF_SPLIT, KeptRows, rates_of, sampled
from bench.measure.resamples import units_of

SPLITS = {"choose": CONFIRM, "judge": TEST, SEARCH: SEARCH, CONFIRM: CONFIRM, TEST: TEST}
"""Values of the column `part`, and the splits that they are."""
PURPOSES = {CONFIRM: "that choose weights", TEST: "that judge", SEARCH: "of validation"}
ROWS_TO_CHOOSE, ENOUGH = 200_000, 5_000
"""Rows, and positives of the rarest task, with which weights are chosen well enough; more rows only
judge better.
"""
MOST_VALUES = 30
"""Values of a segment, the most frequent ones."""


@dataclass(frozen=True)
class SplitLog:
    """The rows that all models predict and none was trained on.

    Attributes:
        log: these rows.
        events: (N, T), joint labels.
        kinds: (T,), of events.
        labels: (N, T), events times their amounts: what outcomes are of.
        places: by split the places of its rows (n,) in the log.
        notes: sentences on what was left out.
    """

    log: LoggedRows
    events: Singles
    kinds: tuple[TaskKind, ...]
    labels: Singles
    places: Mapping[str, Ints]
    rows: Mapping[str, KeptRows]
    notes: list[str]


def split_log(asked: Asked, log: LoggedRows) -> SplitLog:
    """The rows of a log; UserError without any, in some split or with some label, or for labels or
    amounts below 0.
    """
    log, notes = _usable(asked, log)
    logged_labels = np.stack([log.numbers[task] for task in asked.labels], axis=1)
    logged_labels = logged_labels.astype(np.float32)
    kinds = _kinds(asked, log, logged_labels)
    notes += check_parents(asked, logged_labels, kinds, log.place)
    events = _joint(asked, logged_labels)
    labels = _with_amounts(asked, log, events)

    places = {}
    rows = {}
    for split, in_split in _splits(asked, log).items():
        places[split] = _sampled(asked, log, labels, split, in_split)
        rows[split] = _kept_rows(asked, log, labels, kinds, places[split], len(in_split))
    rates = dict(zip(asked.labels, rows[CONFIRM].rates, strict=True)) | asked.rates
    for split in rows:
        rows[split] = replace(rows[split], rates=tuple(rates.values()))
        _check_labels(rows[split], split)

    choosing, judging = len(places[CONFIRM]), len(places[TEST])
    sizes = f"Weights are chosen on {choosing:,} and judged on {judging:,} rows, called test."
    return SplitLog(
        log=log,
        events=events,
        kinds=kinds,
        labels=labels,
        places=places,
        rows=rows,
        notes=[sizes, *notes],
    )


def _usable(asked: Asked, log: LoggedRows) -> tuple[LoggedRows, list[str]]:
    """The rows that all models predict and none was trained on, and what was left out."""
    notes = list(log.notes)
    logged = len(log)
    if asked.trained_until is not None and asked.time is not None:
        log = log.where(times(log, asked.time) > until(log, asked.time, asked.trained_until))
        if not len(log):
            raise UserError(f"trained_until: expected rows of a later {asked.time}, found none")
        last = asked.trained_until
        if not isinstance(last, str):
            last = f"{last:g}"
        notes.append(f"{logged - len(log):,} rows up to {last}, of training, are left out.")

    later = len(log)
    columns = {*asked.scoring} - {*asked.labels, asked.random, asked.propensity}
    is_complete = [np.isfinite(log.numbers[column]) for column in columns]
    log = log.where(np.logical_and.reduce(is_complete))
    if len(log) < later:
        notes.append(
            f"{later - len(log):,} of {later:,} rows are left out, as a prediction or a score is "
            "missing."
        )
    if not len(log):
        raise UserError("expected rows with a prediction of every model, found none")
    return log, notes


def _kinds(asked: Asked, log: LoggedRows, logged_labels: Singles) -> tuple[TaskKind, ...]:
    """Of labels (N, T) as the log has them; UserError for odd values, and for a parent that is a
    value.
    """
    kinds = []
    for task, labels in zip(asked.labels, logged_labels.T, strict=True):
        kinds.append(label_kind(task, labels, asked.kinds.get(task), log.place))
    for task, parent in asked.parents.items():
        if kinds[asked.labels.index(parent)] == "regression":
            raise UserError(
                f"parents: expected a parent of '{task}' that is 0 or 1, found '{parent}', which "
                "has other values"
            )
    return tuple(kinds)


def _joint(asked: Asked, logged_labels: Singles) -> Singles:
    """Labels (N, T) of each task together with its parents."""
    events = logged_labels.copy()
    for column, task in enumerate(asked.labels):
        for ancestor in ancestors(task, asked.parents):
            events[:, column] *= logged_labels[:, asked.labels.index(ancestor)]
    return events


def _with_amounts(asked: Asked, log: LoggedRows, events: Singles) -> Singles:
    """Labels (N, T) times their amounts; UserError for an amount below 0, or a product that no
    number holds.
    """
    if not asked.amounts:
        return events
    labels = events.copy()
    for task, column in asked.amounts.items():
        amounts = log.numbers[column]
        if amounts.min() < 0:
            row = int(amounts.argmin())
            raise UserError(
                f"expected amounts of at least 0 in '{column}', found {amounts[row]:g} in "
                f"{log.place(row)}"
            )
        products = labels[:, asked.labels.index(task)]
        with np.errstate(over="ignore"):
            products *= amounts
        infinite = np.isinf(products)
        if infinite.any():
            row = int(infinite.argmax())
            raise UserError(
                f"expected amounts in '{column}' whose product with '{task}' is finite, found "
                f"{amounts[row]:g} in {log.place(row)}"
            )
    return labels


def _splits(asked: Asked, log: LoggedRows) -> dict[str, Ints]:
    """By split the places of its rows: by a column, by time, or by units."""
    for column in (asked.group, asked.units):
        if column:
            distinct = len(np.unique(log.names[column].codes))
            if distinct < 2:
                raise UserError(f"expected more than one value of '{column}', found {distinct}")

    if asked.part is not None:
        places = _splits_by_column(asked.part, log.names[asked.part])
    elif asked.time is not None:
        places = _splits_by_time(times(log, asked.time))
    else:
        places = _splits_by_unit(asked, log)

    for split, purpose in ((CONFIRM, "choose"), (TEST, "judge")):
        if not len(places.get(split, ())):
            column = asked.part or asked.time or asked.resampled_by or "rows"
            raise UserError(
                f"expected rows that {purpose} weights, found none: '{column}' parts the log"
            )
    return {split: places[split] for split in (SEARCH, CONFIRM, TEST) if split in places}


def _splits_by_column(name: str, column: NameColumn) -> dict[str, Ints]:
    values = column.values if len(column.values) else np.unique(column.codes)
    texts = [*map(str, values)]
    for text in texts:
        if text not in SPLITS:
            raise UserError(f"part: expected {listed(list(SPLITS))} in '{name}', found '{text}'")
    places = {}
    for code, text in enumerate(texts):
        places[SPLITS[text]] = np.flatnonzero(column.codes == code)
    return places


def _splits_by_time(row_times: Floats) -> dict[str, Ints]:
    """The earlier half of the rows chooses; rows of one time stay together."""
    middle = float(np.quantile(row_times, 0.5, method="lower"))
    if not (row_times > middle).any():
        middle = float(np.max(row_times[row_times < middle], initial=-np.inf))
    early = row_times <= middle
    return {CONFIRM: np.flatnonzero(early), TEST: np.flatnonzero(~early)}


def _splits_by_unit(asked: Asked, log: LoggedRows) -> dict[str, Ints]:
    """Half of the units judges, at random."""
    units = np.arange(len(log))
    if asked.resampled_by is not None:
        units = log.names[asked.resampled_by].codes
    seed = np.uint64(derive(asked.seed, "judge"))
    random_bits = mixed(mixed(seed ^ units.astype(np.uint64)))
    judges = random_bits >> np.uint64(63) == 1
    return {CONFIRM: np.flatnonzero(~judges), TEST: np.flatnonzero(judges)}


def _sampled(asked: Asked, log: LoggedRows, labels: Singles, split: str, places: Ints) -> Ints:
    """Those of a split's places that are kept: of very many whole units are sampled, or rows."""
    most_rows = MOST_OF_SPLIT
    if split == CONFIRM and asked.part is None:
        rarest = float(np.nanmean(labels[places] > 0, axis=0).min())
        most_rows = int(np.clip(ENOUGH / max(rarest, 1e-9), ROWS_TO_CHOOSE, MOST_OF_SPLIT))
    units = np.arange(len(places))
    if asked.resampled_by is not None:
        units = log.names[asked.resampled_by].codes[places]
    return places[sampled(units.astype(np.uint64), split, len(places), most_rows)]


def _kept_rows(
    asked: Asked,
    log: LoggedRows,
    labels: Singles,
    kinds: tuple[TaskKind, ...],
    places: Ints,
    rows_in_split: int,
) -> KeptRows:
    """The rows of a split, in the order of the log.

    Args:
        kinds: of labels before amounts.
        rows_in_split: their number before sampling.
    """
    segments: dict[str, tuple[str, ...]] = {}
    codes = np.full((len(places), len(asked.segments)), -1, np.int16)
    for number, name in enumerate(asked.segments):
        segments[name], codes[:, number] = _segment(log.names[name], places)
    kinds_with_amounts: list[TaskKind] = []
    for task, kind in zip(asked.labels, kinds, strict=True):
        kinds_with_amounts.append("regression" if task in asked.amounts else kind)

    rows = KeptRows(
        labels=labels[places],
        group=_codes_or_none(log, asked.group, places).astype(np.int32),
        weights=_sampling_weights(asked, labels[places]),
        units=units_of(_codes_or_none(log, asked.resampled_by, places), 0),
        tasks=tuple(asked.labels),
        kinds=tuple(kinds_with_amounts),
        rates=(),
        segments=segments,
        codes=codes,
        logged={},
        of=rows_in_split,
        exposure=_exposure(asked, log, places),
        items=_items(asked, log, places),
    )
    return replace(rows, rates=rates_of(rows.labels, rows.counts))


def _codes_or_none(log: LoggedRows, column: str | None, places: Ints) -> Ints:
    """A column's codes (n,); -1 in all rows without a column."""
    if column is None:
        return np.full(len(places), -1, np.int64)
    return log.names[column].codes[places]


def _sampling_weights(asked: Asked, labels: Singles) -> Singles | None:
    """(n,), how many rows of the whole traffic a row stands for."""
    if asked.sampling is None:
        return None
    has_positive = np.nan_to_num(labels).max(axis=1) > 0
    return np.where(has_positive, 1.0, 1 / asked.sampling).astype(np.float32)


def _exposure(asked: Asked, log: LoggedRows, places: Ints) -> Exposure | None:
    for kind, column in asked.exposure.items():
        return exposure_of(kind, column, log.numbers[column][places])
    return None


def _items(asked: Asked, log: LoggedRows, places: Ints) -> dict[str, Floats]:
    items = {}
    for name, column in asked.items.items():
        items[name] = _dense(log.names[column].codes[places])
    for name, column in asked.item_numbers.items():
        items[name] = log.numbers[column][places].astype(np.float64)
    return items


def _segment(column: NameColumn, places: Ints) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """The most frequent values of a segment in a log, and which of them some rows have, -1 for
    another or none.

    Codes may be as large as an id, so no array is as long as the largest code.
    """
    distinct, counts = np.unique(column.codes[column.codes >= 0], return_counts=True)
    most_frequent_first = np.argsort(-counts, kind="stable")
    frequent = distinct[most_frequent_first][:MOST_VALUES]
    values = frequent
    if len(column.values):
        values = column.values[frequent]
    indices = pd.Index(frequent).get_indexer(pd.Index(column.codes[places]))
    return tuple(map(str, values.tolist())), indices.astype(np.int16)


def _dense(codes: Ints) -> Floats:
    """Codes (n,) as numbers from 0 without gaps, NaN where missing: single precision keeps such
    ones apart.
    """
    _, ranks = np.unique(codes, return_inverse=True)
    return np.where(codes < 0, np.nan, ranks)


def _check_labels(rows: KeptRows, split: str) -> None:
    """Refuses a task whose label is unknown, or the same, in all rows that count."""
    counted = rows.labels
    if rows.counts is not None:
        counted = counted[rows.counts > 0]
    for task, labels in zip(rows.tasks, counted.T, strict=True):
        if not np.isfinite(labels).any():
            raise UserError(
                f"expected labels of '{task}' on the rows {PURPOSES[split]}, found none"
            )
        if np.nanmin(labels) == np.nanmax(labels):
            raise UserError(
                f"expected rows {PURPOSES[split]} with and without '{task}', found "
                f"{np.nanmax(labels):g} in all"
            )
