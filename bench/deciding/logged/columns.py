"""What columns of a log are: a label that happens or not, or a value; a probability, log odds, an
order or a value.

Most values of a column must say the same. An odd one among them is refused with its row, and never
changes how all others are read. `Asked.kinds` says it instead.
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
"""Log odds whose sigmoid is still told from 1 in single precision."""

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
    more = (
        ""
        if asked
        else f": mend it, or --kind {column}=value says that it is an amount or a number of times"
    )
    raise UserError(
        f"expected 0 or 1 in the label '{column}', found {labels[row]:g} in {place(row)} "
        f"({odd.sum():,} of {positive.sum():,} labels above 0 are not 1){more}"
    )


def prediction(
    column: str, values: NDArray[Any], asked: str | None, task: TaskKind, place: Place
) -> Prediction:
    """How predictions (N,) of a task of this kind are read: as `asked`, else as most of them say.

    Raises:
        UserError: odd values among them, or a kind that they or the task contradict.
    """
    values = values.astype(np.float32)
    if task == "regression":
        return _of_values(column, values, asked)
    if asked == "value":
        raise UserError(
            f"expected one of {listed(PREDICTION_KINDS[:3])} for '{column}', whose label is 0 or "
            "1; found 'value'"
        )
    below, above = values < -ROUNDING, values > 1 + ROUNDING
    outside = below | above
    few, many = int(outside.sum()), len(values)
    if asked is not None:
        if asked == "probability":
            _refuse(column, values, outside, "probabilities", "outside 0 to 1", place, mend=False)
        return _read(column, values, asked)
    if not few:
        return _read(column, values, "probability")
    if 2 * few <= many:
        _refuse(column, values, outside, "probabilities", "outside 0 to 1", place)
    if not below.any():
        return _read(column, values, "order")._replace(
            note=(
                f"'{column}' is taken as an order, as it is no probability: {few:,} of {many:,} "
                "values are above 1."
            )
        )
    if below.sum() < RARE * many:
        _refuse(column, values, below, "values of at least 0", "below 0", place)
    return _read(column, values, "log-odds")._replace(
        note=(
            f"'{column}' is taken as log odds: {below.sum():,} of {many:,} values are below 0, "
            f"and {above.sum():,} above 1."
        )
    )


def _of_values(column: str, values: Singles, asked: str | None) -> Prediction:
    below = int((values < 0).sum())
    if asked is None and 2 * below > len(values):
        return _read(column, values, "order")._replace(
            note=(
                f"'{column}' is taken as an order, as labels are never below 0: {below:,} of "
                f"{len(values):,} values are."
            )
        )
    found = _read(column, values, asked or "value")
    if found.kind == "value" and below:
        return found._replace(
            note=f"'{column}' has {below:,} values below 0, which count as 0 in a score."
        )
    return found


def _read(column: str, values: Singles, kind: str) -> Prediction:
    name = quoted(column)
    if kind == "probability":
        return Prediction(np.clip(values, 0, 1), "probability", name)
    if kind == "log-odds":
        return Prediction(expit(values), "log-odds", f"sigmoid({name})")
    if kind == "value":
        return Prediction(values, "value", name)
    if values.min() >= 0:
        return Prediction(values, "order", name)
    largest = float(np.abs(values).max())
    if largest <= MOST_ODDS:
        return Prediction(expit(values), "order", f"sigmoid({name})")
    scale = 10.0 ** np.floor(np.log10(MOST_ODDS / largest))
    return Prediction(expit(values * np.float32(scale)), "order", f"sigmoid({scale:g} {name})")


def _refuse(
    column: str,
    values: Singles,
    odd: Mask,
    wanted: str,
    where: str,
    place: Place,
    mend: bool = True,
) -> None:
    """Raises UserError for the first odd value, if there is one."""
    if not odd.any():
        return
    row = int(odd.argmax())
    more = ""
    if mend:
        others = " or ".join(f"--kind {column}={kind}" for kind in PREDICTION_KINDS[1:3])
        more = f": mend it, or say what the column is: {others}"
    raise UserError(
        f"expected {wanted} in '{column}', found {values[row]:g} in {place(row)} "
        f"({odd.sum():,} of {len(values):,} values are {where}){more}"
    )
