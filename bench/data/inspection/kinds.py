"""What kind of input a column makes, and why; or why it makes none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.inspection.column import Counted
from bench.data.inspection.lists import MOST, find_separator
from bench.data.inspection.names import is_id, is_quantity, is_time
from bench.data.inspection.times import epoch_unit, is_hhmm, is_yyyymmdd, reads_as_time

FEW = 32
"""Distinct whole numbers that are still taken for categories."""
FEW_QUANTITIES = 10
"""The same, where the name is that of a quantity."""
SKEW = 2.0


@dataclass(frozen=True)
class Finding:
    """What a column is.

    Attributes:
        option: the input's options for the card; None where the column is left out.
        why: a few words.
        name: of the input, where it is not the column's.
        offers: inputs that could be made of a column that is left out: name -> options.
        notes: what to look at.
    """

    option: Mapping[str, Any] | None
    why: str
    name: str | None = None
    offers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_kind(column: Counted) -> Finding:
    """The kind of an input column."""
    distinct = len(column.counts)
    if not column.readable:
        return Finding(None, f"values of type {column.type} make no input; write them as text or numbers")
    if distinct == 0:
        return Finding(None, "always missing")
    if distinct == 1 and column.known == column.rows:
        return Finding(None, "constant")
    if column.numbers is not None and not _leading_zeros(column):
        return _numeric(column, column.numbers)
    return _textual(column)


def _numeric(column: Counted, numbers: NDArray[np.float64]) -> Finding:
    distinct = len(column.counts)
    if is_hhmm(column):
        option = {"kind": "categorical", "from": column.name, "derive": "hour_of_hhmm"}
        return Finding(option, "a time of day such as 1730, of which the hour is kept", f"{column.name}_hour")
    if is_yyyymmdd(column):
        weekday = {"kind": "categorical", "from": column.name, "derive": "weekday_of_yyyymmdd"}
        return Finding(
            None, "a date: later rows have dates that train never saw", offers={f"{column.name}_weekday": weekday}
        )
    if unit := epoch_unit(column):
        return Finding(
            None,
            f"a point in time, in {unit} since 1970: later rows have times that train never saw",
            offers=_parts_of_time(column.name, unit),
        )
    if not column.whole:
        return Finding(_quantity(column), "numbers with fractions")
    if _one_each(column) and (is_id(column.name) or _counts_up(column)):
        return Finding(None, "another value in (almost) every row, as a row's number or id has")
    if is_id(column.name) and distinct > 2:
        return Finding({"kind": "categorical"}, "whole numbers whose name is that of a code")
    few = FEW_QUANTITIES if is_quantity(column.name) else FEW
    if distinct <= few:
        return Finding({"kind": "categorical"}, "few distinct whole numbers")
    if float(np.abs(numbers).max()) >= 1e8 and not is_quantity(column.name):
        return Finding({"kind": "categorical"}, "whole numbers too large to be counts: codes")
    notes = [] if is_quantity(column.name) else ['if they are codes, write "categorical"']
    if numbers.min() == -1 and np.sort(numbers)[1] >= 0:
        notes.append("-1 may stand for a missing value; if it stands for one in every column, add it to reader.missing")
    return Finding(_quantity(column), "many distinct whole numbers", notes=tuple(notes))


def _parts_of_time(name: str, unit: str) -> dict[str, dict[str, Any]]:
    """Inputs that repeat: the hour of the day and the weekday, where there is a derivation for the unit."""
    suffix = {"seconds": "s", "milliseconds": "ms"}.get(unit)
    parts = ("hour", "weekday") if suffix else ()
    return {
        f"{name}_{part}": {"kind": "categorical", "from": name, "derive": f"{part}_of_unix_{suffix}"} for part in parts
    }


def _quantity(column: Counted) -> dict[str, Any]:
    option: dict[str, Any] = {"kind": "numeric"}
    assert column.numbers is not None
    logged = np.sign(column.numbers) * np.log1p(np.abs(column.numbers))
    skew = abs(_skewness(column.numbers, column.counts))
    if skew > SKEW and abs(_skewness(logged, column.counts)) < skew / 2:
        option["log1p"] = True
    if len(column.counts) > FEW:
        option["buckets"] = 20 if len(column.counts) >= 200 else 10
    return option


def _skewness(numbers: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    mean = np.average(numbers, weights=counts)
    variance = np.average((numbers - mean) ** 2, weights=counts)
    return float(np.average((numbers - mean) ** 3, weights=counts) / variance**1.5) if variance > 0 else 0.0


def _textual(column: Counted) -> Finding:
    distinct = len(column.counts)
    if reads_as_time(column):
        return Finding(None, "a date or point in time: later rows have times that train never saw")
    frequent = np.argsort(-column.counts, kind="stable")[:MOST]
    texts, counts = column.texts(MOST), column.counts[frequent]
    if column.type == "text" and all(text.startswith("[") and text.endswith("]") for text in texts):
        return Finding(None, "lists in brackets, which no reader takes apart; write them as 3|17|5")
    if column.type == "text" and _thousands(column):
        return Finding(None, "numbers that no reader takes for such; write 1234, not 1,234")
    if found := find_separator(texts, counts):
        separator, slots, longest = found
        option = {"kind": "multi-valued", "separator": separator, "max_length": slots}
        whole = "" if longest <= slots else f"; 95% are no longer than {slots}, later values are left out"
        return Finding(option, f"lists with {separator!r} between, up to {longest} long{whole}")
    word_count = float(np.average([text.count(" ") + 1 for text in texts], weights=counts))
    if word_count >= 4 and distinct > column.known / 2 and column.known >= 20:
        return Finding(None, f"free text, {word_count:.0f} words on average")
    if _one_each(column):
        return Finding(None, "another value in (almost) every row, as an id of the row or free text has")
    if distinct == 2:
        return Finding({"kind": "categorical"}, "two values")
    return Finding({"kind": "categorical"}, "codes with leading zeros" if column.numbers is not None else "text")


def _one_each(column: Counted) -> bool:
    return column.known >= 20 and len(column.counts) > 0.95 * column.known


def _counts_up(column: Counted) -> bool:
    """Whether each row's number is that of the row before plus one (in most rows: several files may begin anew)."""
    steps = np.diff(column.of_rows)
    return bool((steps == 1).mean() > 0.99)


def _thousands(column: Counted) -> bool:
    fits = pc.all(pc.match_substring_regex(column.distinct, r"^-?\d{1,3}(,\d{3})*(\.\d+)?$")).as_py()
    return bool(fits) and column.numbers is None


def _leading_zeros(column: Counted) -> bool:
    if column.type != "text" or is_quantity(column.name) or is_time(column.name):
        return False
    return bool(pc.any(pc.match_substring_regex(column.distinct, r"^0\d+$")).as_py())
