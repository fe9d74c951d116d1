"""Which values are points in time, and whether they sort as time does."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.inspection.column import Counted
from bench.data.inspection.names import TIMES, has_word

_ISO = r"^\d{4}([-/.])\d{2}([-/.])\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?$"
_OFFSET = r"(:\d{2}([.,]\d+)?) ?(Z|[+-]\d{2}(:?\d{2})?)$"
_EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
EXAMPLE = "2024-03-01 or 2024-03-01 10:00:00"
CYCLES = frozenset(("hour", "hours", "hr", "minute", "minutes", "weekday", "dow", "hourmin"))


def epoch_unit(column: Counted) -> str | None:
    """`seconds`, `milliseconds` and so on, where numbers look like time since 1970 (of the years 2000 to 2050)."""
    assert column.numbers is not None
    named = has_word(column.name, TIMES) or len(column.counts) > column.known / 2
    return next((unit for unit, of in _in_units(column.numbers).items() if named and of.all()), None)


def is_yyyymmdd(column: Counted) -> bool:
    """Whether numbers are dates such as 20240301."""
    if not column.whole or column.numbers is None or len(column.numbers) < 2:
        return False
    year, month, day = column.numbers // 10000, column.numbers // 100 % 100, column.numbers % 100
    fits = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(fits.all())


def check_sortable(column: Counted) -> None:
    """Raises UserError where values do not sort as time does: an hour of the day, or texts of several forms."""
    where = f"--time: '{column.name}'"
    if column.known == 0:
        raise UserError(f"{where} has no value")
    if not column.single:
        raise UserError(f"{where} is of type {column.type}, which is no time")
    if column.numbers is not None:
        units = _in_units(column.numbers)
        several = " and ".join(unit for unit, of in units.items() if of.any())
        if np.any([*units.values()], axis=0).all() and not any(of.all() for of in units.values()):
            raise UserError(f"{where}: expected times in one unit, found {several} since 1970")
        low, high = column.numbers.min(), column.numbers.max()
        if column.whole and has_word(column.name, CYCLES) and 0 <= low <= high < 60:
            raise UserError(
                f"{where}: expected a time that goes on from day to day, found {low:.0f} to {high:.0f}, which says "
                "nothing of the day"
            )
    elif not column.temporal:
        if infinite := [text for text in column.texts() if text.lstrip("+-").lower() in ("inf", "infinity")]:
            raise UserError(f"{where}: expected finite times, found '{infinite[0]}'")
        fits = column.matching(_ISO)
        form = pc.replace_substring_regex(pc.replace_substring_regex(column.distinct, _OFFSET, r"\1Z"), r"\d", "0")
        fits &= pc.equal(form, form[int(np.argmax(fits))]).to_numpy(zero_copy_only=False)
        if not fits.all():
            found, beside = (column.distinct[int(at)].as_py() for at in (np.argmin(fits), np.argmax(fits)))
            also = f" beside {beside!r}" if fits.any() else ""
            raise UserError(f"{where}: expected numbers, or texts of one form such as {EXAMPLE}, found {found!r}{also}")


def _in_units(numbers: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Unit -> (V,) which numbers are times of the years 2000 to 2050 in it."""
    return {unit: (numbers >= 9.4e8 * scale) & (numbers <= 2.55e9 * scale) for unit, scale in _EPOCHS.items()}
