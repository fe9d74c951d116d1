"""What kind of input a column makes, and why, or why it makes none; and whether it is described by target rates."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.inspection.column import Counted
from bench.data.inspection.names import QUANTITIES, TIMES, has_word, is_id, is_visit, is_weight
from bench.data.inspection.telling import LEAST, Halves, cells_of
from bench.data.inspection.times import epoch_unit, is_hhmm, is_yyyymmdd, reads_as_time
from bench.data.splits import TEST, TRAIN, VALID
from bench.data.tasks import skewness

SEPARATORS = ("|", ";", ",", " ")
MOST = 20_000
"""Distinct texts that are looked at."""
UNREAD = {
    r"^\[.*\]$": "lists in brackets, which no reader takes apart; write them as 3|17|5",
    r"^-?\d{1,3}(,\d{3})*(\.\d+)?$": "numbers that no reader takes for such; write 1234, not 1,234",
    r"^-?\d+(,\d+)?$": "numbers with a decimal comma, which no reader takes for such; write 1.5, not 1,5",
}
"""Form of texts -> why they make no input."""
_CODE = re.compile(r"[A-Za-z]*\d+")
FEW = 32
"""Distinct whole numbers that are still taken for categories."""
FEW_QUANTITIES = 10
"""The same, where the name is that of a quantity."""
SKEW = 2.0
FEW_RANGES = 20
CODES = (0.02, 0.25)
"""What exact values tell beyond 20 ranges, as AUC and as a share of all that they tell, from which whole numbers are
codes: of a quantity, neighbours are alike."""
CHANCE = 0.9
"""What they tell beyond ranges by chance, at most, times the root of the labels of the rarer class in validation: in
300 draws of labels without relation to the values, .66 was the most."""
SENTINELS = (-1, -9, -99, -999, -9999)
"""Numbers often written for a missing value."""
BLOCK = 20
"""Rows of one household, session or visit, on average, at most."""
LATER = "later rows have times that train never saw"
WEIGHT = "its name is that of a weight of the sample's design, which belongs to the survey, not to the row"


@dataclass(frozen=True)
class Finding:
    """What a column is, and why in a few words."""

    option: Mapping[str, Any] | None
    """The input's options for the card; None where the column is left out."""
    why: str
    name: str | None = None
    """Of the input, where it is not the column's."""

    @property
    def category(self) -> bool:
        """Whether it makes a categorical input of values as they are."""
        return self.option == {"kind": "categorical"}


CATEGORY = {"kind": "categorical"}
ROUND = 0.2
"""Of distinct values the share that end in two zeros from which on large numbers are amounts: of codes it is .01."""


def find_kind(column: Counted, halves: Halves | None = None) -> Finding:
    """The kind of an input column; on the halves it is tried whether whole numbers are codes."""
    if not column.name:
        return Finding(None, "it has no name")
    if column.vector:
        return Finding({"kind": "vector", "length": column.vector}, "lists of numbers, all of one length")
    if not column.readable:
        return Finding(None, f"values of type {column.type} make no input; write them as text or numbers")
    if len(column.counts) == 0:
        return Finding(None, "always missing")
    if len(column.counts) == 1 and column.known == column.rows:
        return Finding(None, "constant")
    if column.lists:
        return _lists({}, "lists", [text.count("|") + 1 for text in column.texts()], column.counts)
    if column.numbers is not None and not _leading_zeros(column):
        return _time(column) or _numeric(column, column.numbers, halves)
    return _textual(column)


def _time(column: Counted) -> Finding | None:
    if is_hhmm(column):
        option = {**CATEGORY, "from": column.name, "derive": "hour_of_hhmm"}
        return Finding(option, "a time of day such as 1730, of which the hour is kept", f"{column.name}_hour")
    if is_yyyymmdd(column):
        return Finding(None, f'a date: {LATER}; derive = "weekday_of_yyyymmdd" makes an input of it')
    if unit := epoch_unit(column):
        suffix = {"seconds": "s", "milliseconds": "ms"}.get(unit)
        derived = f'; derive = "hour_of_unix_{suffix}" makes an input of it' if suffix else ""
        return Finding(None, f"a point in time, in {unit} since 1970: {LATER}{derived}")
    return None


def _numeric(column: Counted, numbers: NDArray[np.float64], halves: Halves | None) -> Finding:
    if is_weight(column.name) and numbers.min() >= 0 and numbers.max() > 0:
        return Finding(None, WEIGHT)
    if not column.whole:
        return _quantity(column, numbers, "numbers with fractions")
    # Not in all rows does a number count up: several files may begin again.
    if column.one_each and (is_id(column.name) or (np.diff(column.of_rows) > 0).mean() > 0.99):
        return Finding(None, "another value in (almost) every row, as a row's number or id has")
    if visit := _visit(column):
        return visit
    named = has_word(column.name, QUANTITIES)
    if is_id(column.name) and len(numbers) > 2:
        return Finding(CATEGORY, "whole numbers whose name is that of a code")
    if len(numbers) <= (FEW_QUANTITIES if named else FEW):
        return Finding(CATEGORY, "few distinct whole numbers")
    if np.abs(numbers).max() >= 1e8 and not named and (numbers % 100 == 0).mean() < ROUND:
        return Finding(CATEGORY, "whole numbers too large to be counts: codes")
    found = _quantity(column, numbers, "many distinct whole numbers")
    if halves is None or named or "log1p" in (found.option or {}):
        return found
    codes = _as_codes(column, halves)
    return found if codes is None else Finding(CATEGORY, codes)


def _quantity(column: Counted, numbers: NDArray[np.float64], why: str) -> Finding:
    logged = np.sign(numbers) * np.log1p(np.abs(numbers))
    skew = abs(skewness(numbers, column.counts))
    tail = skew > SKEW and abs(skewness(logged, column.counts)) < skew / 2
    low, next_low = np.sort(numbers)[:2] if len(numbers) > 1 else (0, 0)
    if low in SENTINELS and next_low > low / 10:
        why += f"; {low:g} may stand for a missing value; if it does in every column, add it to reader.missing"
    if tail:
        return Finding({"kind": "numeric", "log1p": True}, f"{why}; a long tail, as amounts and counts have")
    return Finding({"kind": "numeric"}, why)


def _as_codes(column: Counted, halves: Halves) -> str | None:
    """Evidence that neighbouring values are unrelated."""
    each, few = halves.tell(column.cells), halves.tell(cells_of(column, FEW_RANGES, exact=0))
    for name, label in halves.labels.items():
        by_chance = CHANCE / math.sqrt(label.fewest(halves.tried))
        if each[name] - few[name] >= max(CODES[0], by_chance, CODES[1] * (each[name] - label.chance)):
            return (
                f"whole numbers whose neighbours are not alike, so codes: each by itself {each[name]:.4f}, "
                f"{FEW_RANGES} ranges {few[name]:.4f} ({label.measure} of '{name}' on validation)"
            )
    return None


def _visit(column: Counted) -> Finding | None:
    """Why it is the id of a household or a visit: many values with few rows each, and its name says so, or they stand
    in blocks, none coming again. Blocks of a user's or a shop's id say only how the file is sorted.
    """
    distinct, known = len(column.counts), column.known
    if distinct < 50 or not 1.05 < known / distinct <= BLOCK:
        return None
    if not is_visit(column.name) and (is_id(column.name) or has_word(column.name, QUANTITIES) or not column.in_blocks):
        return None
    how = "by its name" if is_visit(column.name) else "since each value stands in one block"
    return Finding(
        None,
        f"the id of a household or a visit, {how}, with {known / distinct:.1f} rows each; without --time, "
        f"--group {shlex.quote(column.name)} keeps them in one split",
    )


def _textual(column: Counted) -> Finding:
    if reads_as_time(column):
        return Finding(None, f"a date or point in time: {LATER}")
    if column.type == "text" and column.numbers is None:
        for form, why in UNREAD.items():
            if column.matching(form).all():
                return Finding(None, why)
    texts, counts = column.texts(MOST), np.sort(column.counts)[::-1][:MOST]
    for separator in SEPARATORS:
        if (lengths := list_lengths(texts, counts, separator)) is not None:
            return _lists({"separator": separator}, f"lists with {separator!r} between", lengths, counts)
    if len(column.counts) > column.known / 2 and np.mean([text.count(" ") for text in texts]) >= 3:
        return Finding(None, "free text")
    if visit := _visit(column):
        return visit
    if column.one_each:
        return Finding(None, "another value in (almost) every row, as an id of the row or free text has")
    if len(column.counts) == 2:
        return Finding(CATEGORY, "two values")
    return Finding(CATEGORY, "codes with leading zeros" if column.numbers is not None else "text")


def list_lengths(texts: Sequence[str], counts: NDArray[np.int64], separator: str) -> list[int] | None:
    """(V,) how many parts each text has, where they are lists with that separator between, else None.

    In a list the same part stands in several texts, and now first, now later; in "Paris, TX" or "[10,20)" each part
    has its place. Between blanks only codes such as `12 7 31` are taken for a list: other texts are names.
    """
    lists = [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]
    lengths = [*map(len, lists)]
    if counts[np.array(lengths) > 1].sum() < 0.1 * counts.sum():
        return None
    if separator == " " and not all(_CODE.fullmatch(part) for parts in lists for part in parts):
        return None
    first = {parts[0] for parts in lists if len(parts) > 1}
    later = {part for parts in lists for part in parts[1:]}
    repeat = sum(lengths) >= 2 * len({part for parts in lists for part in parts})
    return lengths if repeat and len(first & later) >= 0.3 * len(first | later) else None


def _lists(option: dict[str, Any], why: str, lengths: Sequence[int], counts: NDArray[np.int64]) -> Finding:
    longest = max(lengths)
    most = int(np.quantile(lengths, 0.95, weights=counts, method="inverted_cdf"))
    slots = min(max(most, 2), 50)
    whole = "" if longest <= slots else f"; 95% are no longer than {slots}, later values are left out"
    return Finding({"kind": "multi-valued", **option, "max_length": slots}, f"{why}, up to {longest} long{whole}")


def _leading_zeros(column: Counted) -> bool:
    if column.type != "text" or has_word(column.name, QUANTITIES) or has_word(column.name, TIMES):
        return False
    return bool(column.matching(r"^0\d+$").any())


NEW = 0.99
"""Share of validation's or test's rows with a value that train lacks, from which a category is no input."""


def find_new(column: Counted, split: NDArray[np.int8]) -> str | None:
    """Why a category is no input, by the splits (N,): train has hardly any of the values of validation or of test."""
    known = column.codes[split == TRAIN]
    for part, name in ((VALID, "validation"), (TEST, "test")):
        new = ~np.isin(column.codes[split == part], known)
        if len(new) >= LEAST and new.mean() >= NEW:
            return f"{new.mean():.0%} of {name}'s rows have a value that train lacks, as a month or a request's id does"
    return None


MANY = 100
"""Distinct values beyond which rates are thought of: an embedding of its own learns few values as well."""
OFTEN = 5
"""Rows of train from which on a value's rate says something."""
COVERED = 0.5
"""Share of validation's rows whose value must be there so often in train."""
TELLS = 0.05
"""What rates must tell of a task, as AUC above a half, or R2."""


def find_rate(column: Counted, halves: Halves) -> str | None:
    """Why a category of many values is also described by target rates; None where it is not."""
    scores = halves.tell(column.cells) if len(column.counts) > MANY else {}
    beyond = {task: score - halves.labels[task].chance for task, score in scores.items()}
    if not beyond or max(beyond.values()) < TELLS:
        return None
    often = np.append(np.bincount(column.cells[halves.learn], minlength=len(column.counts) + 1)[:-1] >= OFTEN, False)
    covered = float(often[column.codes[halves.tried]].mean())
    if covered < COVERED:
        return None
    task = max(beyond, key=beyond.__getitem__)
    return (
        f"{covered:.0%} of validation's rows have a value that {OFTEN} rows of train or more have, and the rates alone "
        f"tell '{task}' there (validation {halves.labels[task].measure} {scores[task]:.4f})"
    )
