"""Which values are points in time, and whether they sort as time does."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.inspection.column import Counted
from bench.data.inspection.names import TIMES, has_word, words
from bench.errors import UserError

_ISO = r"^\d{4}([-/.])\d{2}([-/.])\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?$"
_OFFSET = r"(:\d{2}([.,]\d+)?) ?(Z|[+-]\d{2}(:?\d{2})?)$"
_ANY = r"^(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|[A-Z][a-z]{2} \d{1,2}[, ].*\d{4}.*)([T ,]+\d{1,2}:\d{2}.*)?$"
_EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
EXAMPLE = "2024-03-01 or 2024-03-01 10:00:00"


def reads_as_time(column: Counted) -> bool:
    """Whether every value is a date or a point in time, in whatever form of text."""
    if column.temporal:
        return True
    return column.type == "text" and column.numbers is None and bool(column.matching(_ANY).all())


def epoch_unit(column: Counted) -> str | None:
    """`seconds`, `milliseconds` and so on, where numbers look like time since 1970 (of the years 2000 to 2050)."""
    if column.numbers is None or column.known == 0:
        return None
    for unit, scale in _EPOCHS.items():
        if _in_unit(column.numbers, scale).all():
            return unit if has_word(column.name, TIMES) or len(column.counts) > column.known / 2 else None
    return None


def is_yyyymmdd(column: Counted) -> bool:
    """Whether numbers are dates such as 20240301."""
    if not column.whole or column.numbers is None or len(column.numbers) < 2:
        return False
    month, day = column.numbers // 100 % 100, column.numbers % 100
    year = column.numbers // 10000
    fits = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(fits.all())


def is_hhmm(column: Counted) -> bool:
    """Whether numbers are times of day such as 1730, by name and value."""
    if not column.whole or column.numbers is None:
        return False
    parts = words(column.name)
    named = "hhmm" in parts or "hourmin" in parts or ("hour" in parts and "min" in parts)
    fits = (column.numbers >= 0) & (column.numbers < 2400) & (column.numbers % 100 < 60)
    return named and bool(fits.all())


def check_sortable(column: Counted) -> None:
    """Raises UserError where values do not sort as time does: texts of another form than ISO, or of several forms."""
    if column.known == 0:
        raise UserError(f"--time: column '{column.name}' has no value")
    if not column.single:
        raise UserError(f"--time: column '{column.name}' is of type {column.type}, which is no time")
    if column.temporal:
        return
    if column.numbers is not None:
        _check_unit(column.name, column.numbers)
        return
    sortable = column.matching(_ISO) if column.type == "text" else np.zeros(len(column.counts), np.bool_)
    if not sortable.all():
        if infinite := [text for text in column.texts() if text.lstrip("+-").lower() in ("inf", "infinity")]:
            raise UserError(f"--time: '{column.name}': expected finite times, found '{infinite[0]}'")
        found = repr(column.distinct[int(np.argmin(sortable))].as_py())
        if sortable.any():
            found += f" beside {column.distinct[int(np.argmax(sortable))].as_py()!r}"
        raise UserError(f"--time: '{column.name}': expected numbers, or texts such as {EXAMPLE}, found {found}")
    shapes = pc.replace_substring_regex(pc.replace_substring_regex(column.distinct, _OFFSET, r"\1Z"), r"\d", "0")
    if len(several := pc.unique(shapes)) > 1:
        first, second = (column.distinct[pc.index(shapes, shape).as_py()].as_py() for shape in several[:2])
        raise UserError(
            f"--time: '{column.name}': expected texts of one form, which sort as time does, found {first!r} "
            f"and {second!r}"
        )


def _check_unit(name: str, numbers: NDArray[np.float64]) -> None:
    """Raises UserError where all numbers (V,) are times since 1970, but not in one unit."""
    of = np.array([_in_unit(numbers, scale) for scale in _EPOCHS.values()])
    if of.any(axis=0).all() and not of.all(axis=1).any():
        first, second = (
            f"{numbers[np.argmax(of[at])]:.0f} ({list(_EPOCHS)[at]})" for at in np.flatnonzero(of.any(1))[:2]
        )
        raise UserError(f"--time: '{name}': expected times in one unit, found {first} and {second}")


def _in_unit(numbers: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
    """(V,) which numbers are times of the years 2000 to 2050, of `scale` to the second."""
    return (numbers >= 9.4e8 * scale) & (numbers <= 2.55e9 * scale)
