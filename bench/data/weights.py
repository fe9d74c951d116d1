"""The weight of a row, and negatives of which a part alone was kept.

A row of weight w stands for w equal rows. Where negatives of a task were kept at a rate r, one that
is there stands for 1 / r: weighted so, the rows are a sample of all rows again (Horvitz & Thompson,
JASA 1952).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import model_validator

from bench.core.arrays import Floats, Mask
from bench.core.registry import Config
from bench.data.checks import LabelArray, Sieve
from bench.data.values import as_numbers

Weights = NDArray[np.float32]
"""(n, 0) of a card without weights; (n, 1), the row's weight; (n, 2), and how many rows a thinned
negative stands for.
"""


class Sampling(Config):
    """Negatives were thinned out before the log was written."""

    task: str
    """Binary task without parent: rows with its label 0 were thinned, all others kept."""
    rate: float | str
    """Share of the negatives that was kept, or the raw column that has it for each negative."""

    @property
    def column(self) -> str | None:
        """The raw column of the rate."""
        return self.rate if isinstance(self.rate, str) else None

    @model_validator(mode="after")
    def _a_share(self) -> Sampling:
        if not isinstance(self.rate, str) and not 0 < self.rate <= 1:
            raise ValueError(
                "expected a rate above 0 and at most 1, or the name of a raw column, found "
                f"{self.rate:g}"
            )
        return self


def read_weights(
    table: pa.Table,
    weight: str | None,
    sampling: Sampling | None,
    label: LabelArray,
    missing: Collection[str],
    sieve: Sieve,
) -> Weights:
    """The weights (n, K) of rows, the second column still a rate; the sieve takes rows whose weight
    is none.

    Args:
        weight: raw column of the rows' weight.
        label: (n,) of the sampling's task.
    """
    if weight is None and sampling is None:
        return np.empty((table.num_rows, 0), np.float32)
    row_weights = np.ones(table.num_rows)
    if weight is not None:
        row_weights = _row_weights(table, weight, missing, sieve)
    columns = [row_weights]
    if sampling is not None:
        columns.append(_rates(table, sampling, label, missing, sieve))
    return np.stack(columns, axis=1).astype(np.float32)


def _row_weights(table: pa.Table, column: str, missing: Collection[str], sieve: Sieve) -> Floats:
    weights = as_numbers(table[column], missing, column, infinite=True)
    with np.errstate(over="ignore", invalid="ignore"):
        fits = (weights >= 0) & np.isfinite(weights.astype(np.float32))
    expected = f"'{column}', the rows' weight: expected a number of 0 or more"
    _refuse(~fits, weights, expected, sieve)
    return weights


def _rates(
    table: pa.Table, sampling: Sampling, label: LabelArray, missing: Collection[str], sieve: Sieve
) -> Floats:
    column = sampling.column
    if column is None:
        return np.full(table.num_rows, sampling.rate, np.float64)
    rates = as_numbers(table[column], missing, column, infinite=True)
    # As a float32 a tiny rate would be 0. Of rows that were not thinned, the rate is not read.
    fits = (rates.astype(np.float32) > 0) & (rates <= 1)
    expected = f"'{column}', the rate of sampling: expected a number above 0 and at most 1"
    _refuse((label == 0) & ~fits, rates, expected, sieve)
    return rates


def _refuse(wrong: Mask, numbers: Floats, expected: str, sieve: Sieve) -> None:
    wrong = wrong & ~sieve.bad
    if wrong.any():
        first = float(numbers[np.argmax(wrong)])
        found = "none" if np.isnan(first) else f"{first:g}"
        sieve.refuse(wrong, "weight", f"{expected}, found {found}")


def undo_rates(weights: Weights, label: LabelArray) -> None:
    """Replaces each rate of `read_weights` by the number of rows that the row stands for, by the
    labels (n,) of the sampling's task.

    A row whose label is missing was not thinned.
    """
    if weights.shape[1] > 1:
        rates = np.where(label == 0, weights[:, 1], 1)
        weights[:, 1] = 1 / rates


def weight_columns(weight: str | None, sampling: Sampling | None) -> Iterator[tuple[str, str]]:
    """(raw column of numbers, key of the card that names it)."""
    if weight is not None:
        yield weight, "weight"
    if sampling is not None and sampling.column is not None:
        yield sampling.column, "sampling.rate"


def weight_facts(weight: str | None, sampling: Sampling | None) -> dict[str, Any]:
    """What a manifest says of the rows' weights; nothing where a card has none."""
    if weight is None and sampling is None:
        return {}
    thinned = None
    if sampling is not None:
        rate = None if sampling.column else sampling.rate
        thinned = {"task": sampling.task, "rate": rate}
    return {"weights": {"plain": weight is not None, "thinned": thinned}}
