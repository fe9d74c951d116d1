"""What kind of input a column makes, and why, or why it makes none; and whether it is described by target rates."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.encoding.numeric import ranges_for
from bench.data.inspection.column import SENTINELS, Counted
from bench.data.inspection.leaks import LEAST, ranges_of
from bench.data.inspection.names import QUANTITIES, TIMES, has_word, is_id, is_visit, is_weight
from bench.data.inspection.times import epoch_unit, is_hhmm, is_yyyymmdd, reads_as_time
from bench.data.inspection.trying import Halves, Trial, counts_of
from bench.data.splits import TEST, TRAIN, VALID
from bench.data.tasks import skewness

SEPARATORS = ("|", ";", ",", " ")
MOST = 20_000
"""Distinct texts that are looked at."""
_THOUSANDS = r"^-?\d{1,3}(,\d{3})*(\.\d+)?$"
_DECIMAL_COMMA = r"^-?\d+(,\d+)?$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
FEW_TEXTS = 5
"""Distinct texts that may keep a column from being one of numbers by mistake."""
MOSTLY = 0.9
"""Share of numbers from which they may."""
_CODE = re.compile(r"[A-Za-z]*\d+")


def find_separator(texts: Sequence[str], counts: NDArray[np.int64]) -> tuple[str, int, int] | None:
    """(separator, slots that hold 95% of the lists whole, length of the longest list), or None.

    In a list the same part stands in several texts, and now first, now later; in "Paris, TX" or "[10,20)" each part
    has its place. Between blanks only codes such as `12 7 31` are taken for a list: other texts are names.
    """
    texts, counts = texts[:MOST], counts[:MOST]
    for separator in SEPARATORS:
        lists = [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]
        lengths = np.array([len(parts) for parts in lists])
        if counts[lengths > 1].sum() < 0.1 * counts.sum():
            continue
        if separator == " " and not all(_CODE.fullmatch(part) for parts in lists for part in parts):
            continue
        if _shared(lists):
            return separator, *slots_of(lengths, counts)
    return None


def slots_of(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[int, int]:
    """Slots that hold 95% of the lists whole, and the length of the longest list."""
    order = np.argsort(lengths)
    reached = np.cumsum(counts[order]) >= 0.95 * counts.sum()
    slots = int(lengths[order][int(np.argmax(reached))])
    return min(max(slots, 2), 50), int(lengths.max())


def _shared(lists: list[list[str]]) -> bool:
    first = {parts[0] for parts in lists if len(parts) > 1}
    later = {part for parts in lists for part in parts[1:]}
    distinct = {part for parts in lists for part in parts}
    total = sum(map(len, lists))
    return total >= 2 * len(distinct) and len(first & later) >= 0.3 * len(first | later)


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
COMMON = 0.5
"""Share of train's rows whose range, of few, validation must have; else the column moves with time."""
DULL = 0.55
"""AUC up to which a `weight` is rather one of the sample's design than a thing's."""
DESIGN = "its name is that of a weight of the sample's design, which belongs to the survey, not to the row"
BLOCK = 20
"""Rows of one household, session or visit, on average, at most."""


@dataclass(frozen=True)
class Finding:
    """What a column is, why in a few words, and notes on what to look at."""

    option: Mapping[str, Any] | None
    """The input's options for the card; None where the column is left out."""
    why: str
    name: str | None = None
    """Of the input, where it is not the column's."""
    codes: Mapping[str, Any] | None = None
    """Options of a second input, of the values as they are."""
    offers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Inputs that could be made of a column that is left out: name -> options."""
    notes: tuple[str, ...] = ()

    @property
    def tried(self) -> bool:
        """Whether more can be said once encodings are tried: of a quantity and of a category."""
        option = self.option
        return option is not None and option["kind"] not in ("multi-valued", "vector") and "derive" not in option


def find_kind(column: Counted, trial: Trial | None = None) -> Finding:
    """The kind of an input column, of which encodings are tried on a trial."""
    distinct = len(column.counts)
    if not column.name:
        return Finding(None, "it has no name")
    if column.vector:
        return Finding({"kind": "vector", "length": column.vector}, "lists of numbers, all of one length")
    if not column.readable:
        return Finding(None, f"values of type {column.type} make no input; write them as text or numbers")
    if distinct == 0:
        return Finding(None, "always missing")
    if distinct == 1 and column.known == column.rows:
        return Finding(None, "constant")
    if column.lengths is not None:
        return _lists({}, "lists", *slots_of(column.lengths, column.counts))
    if column.numbers is not None and not _leading_zeros(column):
        return _numeric(column, column.numbers, trial)
    return _textual(column)


def _numeric(column: Counted, numbers: NDArray[np.float64], trial: Trial | None) -> Finding:
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
    if _of_design(column, numbers, trial):
        return Finding(None, DESIGN, offers={column.name: _quantity(column)})
    if not column.whole:
        return _measured(column, "numbers with fractions", trial)
    # Not in all rows does a number count up: several files may begin again.
    if column.one_each and (is_id(column.name) or (np.diff(column.of_rows) > 0).mean() > 0.99):
        return Finding(None, "another value in (almost) every row, as a row's number or id has")
    if visit := _visit(column):
        return visit
    if is_id(column.name) and distinct > 2:
        return Finding({"kind": "categorical"}, "whole numbers whose name is that of a code", notes=_few_rows(column))
    few = FEW_QUANTITIES if has_word(column.name, QUANTITIES) else FEW
    if distinct <= few:
        return Finding({"kind": "categorical"}, "few distinct whole numbers")
    if float(np.abs(numbers).max()) >= 1e8 and not has_word(column.name, QUANTITIES):
        return Finding({"kind": "categorical"}, "whole numbers too large to be counts: codes")
    if "log1p" in _quantity(column):
        return _measured(column, "whole numbers with a long tail, as amounts and counts have", trial)
    if has_word(column.name, QUANTITIES):
        return _measured(column, "many distinct whole numbers", trial)
    if trial is not None and (found := _as_codes(trial)):
        return Finding({"kind": "categorical"}, f"whole numbers whose neighbours are not alike, so codes: {found}")
    notes = () if trial is not None and trial.decides(FEW_RANGES) else ('if they are codes, write "categorical"',)
    return _measured(column, "many distinct whole numbers", trial, notes)


def _of_design(column: Counted, numbers: NDArray[np.float64], trial: Trial | None) -> bool:
    """Whether it is a row's weight by its name or, where that may be a thing's, by telling nothing."""
    named = is_weight(column.name)
    if named is not None or len(column.counts) <= FEW or numbers.min() <= 0:
        return bool(named and numbers.min() >= 0 and numbers.max() > 0)
    return trial is not None and max(trial.alone(trial.cut(FEW_RANGES)).values(), default=1.0) <= DULL


def _as_codes(trial: Trial) -> str | None:
    """Evidence that neighbouring values are unrelated."""
    if trial.common(FEW_RANGES) < COMMON:
        return None
    exact, ranges = trial.alone(trial.single), trial.alone(trial.cut(FEW_RANGES))
    for name, label in trial.halves.labels.items():
        more = exact[name] - ranges[name]
        by_chance = CHANCE / math.sqrt(label.fewest(trial.halves.tried))
        if more >= max(CODES[0], by_chance, CODES[1] * (exact[name] - label.chance)):
            return _compared(trial, name, ("each by itself", exact), (f"{FEW_RANGES} ranges", ranges))
    return None


def _compared(
    trial: Trial, task: str, one: tuple[str, Mapping[str, float]], other: tuple[str, Mapping[str, float]]
) -> str:
    measure = trial.halves.labels[task].measure
    return f"{one[0]} {one[1][task]:.4f}, {other[0]} {other[1][task]:.4f} ({measure} of '{task}' on validation)"


def coarse_cells(column: Counted, finding: Finding, halves: Halves) -> NDArray[np.int64]:
    """(N,) the range of a number, or the category, that a row has."""
    if finding.option is not None and finding.option["kind"] == "numeric":
        cell = ranges_of(column, counts_of(column, halves.learn)[:-1], FEW_RANGES)
    else:
        cell = np.arange(len(column.counts) + 1)
    return cell[column.codes]  # a missing one's code is -1, and its cell the last


def _measured(column: Counted, why: str, trial: Trial | None, notes: Sequence[str] = ()) -> Finding:
    """A quantity; as codes, too, where single values tell more than ranges do."""
    option = _quantity(column)
    assert column.numbers is not None
    low, next_low = np.sort(column.numbers)[:2] if len(column.numbers) > 1 else (0, 0)
    if low in SENTINELS and next_low > low / 10:
        notes = (*notes, f"{low:g} may stand for a missing value; if it does in every column, add it to reader.missing")
    if trial is None or not trial.halves.labels or len(column.counts) < 3:
        return Finding(option, why, notes=tuple(notes))
    if (common := trial.common(FEW_RANGES)) < COMMON:
        moves = f"it moves with time: validation has values such as only {common:.0%} of train's rows have"
        return Finding(option, why, notes=(*notes, moves))
    codes, cell = None, trial.cut(ranges_for(int(trial.learnt[:-1].sum())))
    if cell[-1] < len(column.counts) and trial.repeated(2) >= 0.5:
        each, ranges, few = map(trial.beside, (trial.single, cell, trial.cut(FEW_RANGES)))
        # Of rare labels many ranges learn noise, and single values, shrunk to nothing, do not.
        if (better := trial.gain(each, ranges)) is not None and trial.gain(each, few) is not None:
            codes = {"kind": "categorical", "from": column.name}
            compared = _compared(trial, better, ("also as codes", each), (f"{int(cell[-1])} ranges", ranges))
            notes = [*notes, compared]
    return Finding(option, why, codes=codes, notes=tuple(notes))


def _few_rows(column: Counted) -> tuple[str, ...]:
    rows = column.known / len(column.counts)
    if len(column.counts) < 100 or rows > 3:
        return ()
    return (f"{rows:.1f} rows each, so most are new to the model; --group {column.name} keeps them in one split",)


def _visit(column: Counted) -> Finding | None:
    """Why it is the id of a household or a visit: many values with few rows each, and its name says so, or they stand
    in blocks, none coming again. Blocks of a user's or a shop's id say only how the file is sorted.
    """
    distinct, known = len(column.counts), column.known
    if distinct < 50 or not 1.05 < known / distinct <= BLOCK:
        return None
    if is_visit(column.name):
        why = f"its name is that of a household's or a visit's id, and each value has {known / distinct:.1f} rows"
    elif is_id(column.name) or has_word(column.name, QUANTITIES) or not column.in_blocks:
        return None
    else:
        rows = f"one block of {known / distinct:.1f} rows"
        why = f"each value stands in {rows} on average, as the id of a household or a visit does"
    together = f"for a split that keeps them together say --group {shlex.quote(column.name)}"
    return Finding(None, why, offers={column.name: {"kind": "categorical"}}, notes=(together,))


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
    skew = abs(skewness(column.numbers, column.counts))
    if skew > SKEW and abs(skewness(logged, column.counts)) < skew / 2:
        option["log1p"] = True
    return option


def _lists(option: dict[str, Any], why: str, slots: int, longest: int) -> Finding:
    whole = "" if longest <= slots else f"; 95% are no longer than {slots}, later values are left out"
    return Finding({"kind": "multi-valued", **option, "max_length": slots}, f"{why}, up to {longest} long{whole}")


def _textual(column: Counted) -> Finding:
    distinct = len(column.counts)
    if reads_as_time(column):
        return Finding(None, "a date or point in time: later rows have times that train never saw")
    frequent = np.argsort(-column.counts, kind="stable")[:MOST]
    texts, counts = column.texts(MOST), column.counts[frequent]
    if column.type == "text" and all(text.startswith("[") and text.endswith("]") for text in texts):
        return Finding(None, "lists in brackets, which no reader takes apart; write them as 3|17|5")
    if column.type == "text" and column.numbers is None and column.matching(_THOUSANDS).all():
        return Finding(None, "numbers that no reader takes for such; write 1234, not 1,234")
    if found := find_separator(texts, counts):
        separator, slots, longest = found
        return _lists({"separator": separator}, f"lists with {separator!r} between", slots, longest)
    word_count = float(np.average([text.count(" ") + 1 for text in texts], weights=counts))
    if word_count >= 4 and distinct > column.known / 2 and column.known >= 20:
        return Finding(None, f"free text, {word_count:.0f} words on average")
    if column.type == "text" and column.numbers is None and column.matching(_DECIMAL_COMMA).all():
        return Finding(None, "numbers with a decimal comma, which no reader takes for such; write 1.5, not 1,5")
    notes = _nearly_numbers(column)
    if visit := _visit(column):
        return visit
    if column.one_each:
        why = "another value in (almost) every row, as an id of the row or free text has"
        return Finding(None, "; ".join((why, *notes)))
    if distinct == 2:
        return Finding({"kind": "categorical"}, "two values")
    why = "codes with leading zeros" if column.numbers is not None else "text"
    return Finding({"kind": "categorical"}, why, notes=notes)


def _nearly_numbers(column: Counted) -> tuple[str, ...]:
    """A note on texts that keep a column of numbers from being one."""
    if column.type != "text" or column.numbers is not None:
        return ()
    number = column.matching(_NUMBER)
    without = int(column.counts[~number].sum())
    if (~number).sum() > FEW_TEXTS or not 0 < without <= (1 - MOSTLY) * column.known:
        return ()
    texts = " and ".join(map(repr, column.distinct.filter(pa.array(~number)).to_pylist()))
    return (
        f"{column.known - without:,} of its {column.known:,} values are numbers; if {texts} means missing, add it to "
        "reader.missing",
    )


def _leading_zeros(column: Counted) -> bool:
    if column.type != "text" or has_word(column.name, QUANTITIES) or has_word(column.name, TIMES):
        return False
    return bool(column.matching(r"^0\d+$").any())


MANY = 100
"""Distinct values beyond which rates are thought of: an embedding of its own learns few values as well."""
OFTEN = 5
"""Rows of train from which on a value's rate says something."""
COVERED = 0.5
"""Share of validation's rows whose value must be there so often in train."""
TELLS = 0.05
"""What rates must tell of a task, as AUC above a half, or R2."""


NEW = 0.99
"""Share of validation's or test's rows with a value that train lacks, from which a category is no input."""


def _is_category(finding: Finding) -> bool:
    """Whether it makes a categorical input of values as they are."""
    option = finding.option or {}
    return option.get("kind") == "categorical" and "derive" not in option


def _has_many(column: Counted, finding: Finding) -> bool:
    """Whether it makes a categorical input of many values, as they are."""
    return len(column.counts) > MANY and _is_category(finding)


def find_new(column: Counted, finding: Finding, split: NDArray[np.int8]) -> str | None:
    """Why a category is no input, by the splits (N,): train has hardly any of the values of validation or of test."""
    if not _is_category(finding):
        return None
    known = column.codes[split == TRAIN]
    for part, name in ((VALID, "validation"), (TEST, "test")):
        new = ~np.isin(column.codes[split == part], known)
        if len(new) >= LEAST and new.mean() >= NEW:
            such = "the id of a request or a session" if _has_many(column, finding) else "a month or a year"
            return f"{new.mean():.0%} of {name}'s rows have a value that train lacks, as {such} does"
    return None


class Rate(NamedTuple):
    """Whether target rates are put on the card, and the evidence."""

    on: bool
    why: str


def find_rate(column: Counted, finding: Finding, trial: Trial) -> Rate | None:
    """The evidence on a categorical input of many values; None for any other, or where no label is there to try on."""
    if not _has_many(column, finding):
        return None
    labels, scores = trial.halves.labels, trial.alone(trial.single)
    if not scores:
        return None
    covered = trial.repeated(OFTEN)
    task = max(scores, key=lambda name: scores[name] - labels[name].chance)
    score, label = scores[task], labels[task]
    why = (
        f"{covered:.0%} of validation's rows have a value that {OFTEN} rows of train or more have, and the rates alone "
        f"tell '{task}' there (validation {label.measure} {score:.4f})"
    )
    return Rate(covered >= COVERED and score - label.chance >= TELLS, why)
