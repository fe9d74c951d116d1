"""What columns of a log are: a label that happens or not, or a value; a probability, log odds, an
order or a value.

Most values of a column decide. An odd one among them is refused with its row, and never changes how
all others are read. `Asked.kinds` decides instead, where it names the column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bench.core.arrays import Mask, Singles
from bench.core.errors import UserError, listed
from bench.core.formula import quoted
from bench.core.schema import TaskKind

LabelKind = Literal["binary", "value"]
PredictionKind = Literal["probability", "log-odds", "order", "value"]
ColumnKind = Literal["binary", "value", "probability", "log-odds", "order"]
LABEL_KINDS: tuple[LabelKind, ...] = get_args(LabelKind)
PREDICTION_KINDS: tuple[PredictionKind, ...] = get_args(PredictionKind)

ROUNDING = 1e-6
"""By how much a probability may lie outside 0 to 1, as sums of single precision do."""
RARE = 0.01
"""Share of values below 0 from which on a column with most above 1 has log odds; a smaller share is
odd.
"""
MOST_ODDS = 15.0
"""Log odds whose sigmoid still differs from 1 in single precision."""

NO_PROBABILITIES = "probabilities", "outside 0 to 1"
"""What is expected, and where odd values are, in words."""

Numbers = NDArray[Any]
"""Of single or double precision."""
Place = Callable[[int], str]
"""Where a row of the log is, in words: `line 19 of log.csv`."""


class Prediction(NamedTuple):
    """A column of predictions as it was read.

    Attributes:
        values: (N,); at least 0 unless it is a value.
        term: what they are, as a formula of the log's column.
        note: a sentence on how it was read, or empty.
    """

    values: Singles
    kind: PredictionKind
    term: str
    note: str = ""


def label_kind(column: str, labels: Singles, asked: str | None, place: Place) -> TaskKind:
    """Whether labels (N,), NaN where unknown, happen or not, or are values.

    Raises:
        UserError: a label below 0, or one that is no 0 or 1 where most positive ones are 1 or
            `binary` is asked for.
    """
    below = labels < 0
    if below.any():
        row = int(below.argmax())
        raise UserError(
            f"expected labels of at least 0 in '{column}', found {labels[row]:g} in {place(row)}"
        )
    if asked == "value":
        return "regression"

    positive = labels > 0
    odd = positive & (labels != 1)
    if not odd.any():
        return "binary"
    if asked is None and 2 * odd.sum() > positive.sum():
        return "regression"

    row = int(odd.argmax())
    advice = ""
    if not asked:
        advice = (
            f": mend it, or --kind {column}=value says that it is an amount or a number of times"
        )
    raise UserError(
        f"expected 0 or 1 in the label '{column}', found {labels[row]:g} in {place(row)} "
        f"({odd.sum():,} of {positive.sum():,} labels above 0 are not 1){advice}"
    )


def prediction(
    column: str, values: Numbers, asked: str | None, task: TaskKind, place: Place
) -> Prediction:
    """How predictions (N,) of a task of this kind are read: as `asked`, else as most of them say.

    Raises:
        UserError: odd values among them, or a kind that they or the task contradict.
    """
    values = values.astype(np.float32)
    if task == "regression":
        return _prediction_of_value(column, values, asked)
    if asked == "value":
        raise UserError(
            f"expected one of {listed(PREDICTION_KINDS[:3])} for '{column}', whose label is 0 or "
            "1; found 'value'"
        )
    if asked is None:
        return _prediction_of_event(column, values, place)
    if asked == "probability":
        _refuse(column, values, _outside(values), *NO_PROBABILITIES, place)
    return _read(column, values, asked)


def _prediction_of_event(column: str, values: Singles, place: Place) -> Prediction:
    """Predictions (N,) of a label that is 0 or 1, of a kind that nobody named."""
    outside, below, above = _outside(values), values < -ROUNDING, values > 1 + ROUNDING
    if not outside.any():
        return _read(column, values, "probability")
    if 2 * outside.sum() <= len(values):
        _refuse(column, values, outside, *NO_PROBABILITIES, place, _other_kinds(column))
    if not below.any():
        note = (
            f"'{column}' is taken as an order, as it is no probability: {outside.sum():,} of "
            f"{len(values):,} values are above 1."
        )
        return _read(column, values, "order", note)
    if below.sum() < RARE * len(values):
        _refuse(
            column, values, below, "values of at least 0", "below 0", place, _other_kinds(column)
        )
    note = (
        f"'{column}' is taken as log odds: {below.sum():,} of {len(values):,} values are below 0, "
        f"and {above.sum():,} above 1."
    )
    return _read(column, values, "log-odds", note)


def _prediction_of_value(column: str, values: Singles, asked: str | None) -> Prediction:
    below = int((values < 0).sum())
    if asked is None and 2 * below > len(values):
        note = (
            f"'{column}' is taken as an order, as labels are never below 0: {below:,} of "
            f"{len(values):,} values are."
        )
        return _read(column, values, "order", note)
    note = ""
    if asked in (None, "value") and below:
        note = f"'{column}' has {below:,} values below 0, which count as 0 in a score."
    return _read(column, values, asked or "value", note)


def _outside(values: Singles) -> Mask:
    return (values < -ROUNDING) | (values > 1 + ROUNDING)


def _read(column: str, values: Singles, kind: str, note: str = "") -> Prediction:
    name = quoted(column)
    if kind == "probability":
        return Prediction(np.clip(values, 0, 1), "probability", name, note)
    if kind == "log-odds":
        return Prediction(expit(values), "log-odds", f"sigmoid({name})", note)
    if kind == "value":
        return Prediction(values, "value", name, note)
    if values.min() >= 0:
        return Prediction(values, "order", name, note)
    largest = float(np.abs(values).max())
    if largest <= MOST_ODDS:
        return Prediction(expit(values), "order", f"sigmoid({name})", note)
    scale = 10.0 ** np.floor(np.log10(MOST_ODDS / largest))
    scaled = expit(values * np.float32(scale))
    return Prediction(scaled, "order", f"sigmoid({scale:g} {name})", note)


def _other_kinds(column: str) -> str:
    kinds = " or ".join(f"--kind {column}={kind}" for kind in PREDICTION_KINDS[1:3])
    return f": mend it, or say what the column is: {kinds}"


def _refuse(
    column: str,
    values: Singles,
    odd: Mask,
    wanted: str,
    where: str,
    place: Place,
    advice: str = "",
) -> None:
    """Raises UserError for the first odd value, if there is one."""
    if not odd.any():
        return
    row = int(odd.argmax())
    raise UserError(
        f"expected {wanted} in '{column}', found {values[row]:g} in {place(row)} "
        f"({odd.sum():,} of {len(values):,} values are {where}){advice}"
    )
