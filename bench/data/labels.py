"""Raw columns -> labels, by the rules of a card's tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.base import RawTable
from bench.data.rejects import Rejects, Sieve
from bench.data.tasks import TaskRule
from bench.data.values import as_numbers, as_text

Labels = NDArray[np.float32]
_ZERO_ONE = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


def read_labels(
    raw: RawTable, rules: tuple[TaskRule, ...], missing: tuple[str, ...], sieve: Sieve | None = None
) -> Labels:
    """Labels (N, T); NaN where the raw value is missing.

    Args:
        sieve: takes rows with a bad label; without one they are errors.

    Raises:
        UserError: a label that is not 0/1, nor among the values the task names, or a number that a float32 cannot
            hold; with file and line.
    """
    sieve = sieve or Sieve(Rejects(), raw.place, raw.table.num_rows)
    labels = np.empty((raw.table.num_rows, len(rules)), np.float32)
    for index, rule in enumerate(rules):
        if rule.kind == "regression":
            labels[:, index] = _numbers(raw, rule, missing, sieve)
            continue
        product = np.ones(raw.table.num_rows, np.float32)
        for column in rule.sources:
            product *= _binary(raw, rule, column, missing, sieve)
        labels[:, index] = product
    return labels


def _numbers(raw: RawTable, rule: TaskRule, missing: tuple[str, ...], sieve: Sieve) -> Labels:
    column = rule.sources[0]
    numbers = as_numbers(raw.table[column], missing, column, infinite=True)
    with np.errstate(over="ignore"):
        labels = numbers.astype(np.float32)
    if (beyond := np.isinf(labels)).any():
        found = f"{numbers[np.argmax(beyond)]:g}"
        what = f"'{column}', the label of task '{rule.name}': expected a number that a float32 holds, found {found}"
        sieve.refuse(beyond, "label", what)
    return labels


def _binary(raw: RawTable, rule: TaskRule, column: str, missing: tuple[str, ...], sieve: Sieve) -> Labels:
    text = as_text(raw.table[column], missing)
    meaning = np.full(len(text.values) + 1, np.nan, np.float32)  # the last entry serves code -1, missing
    for code, value in enumerate(text.values):
        if rule.positive:
            known = value in rule.positive or not rule.negative or value in rule.negative
            label = float(value in rule.positive)
        else:
            known = value.lower() in _ZERO_ONE
            label = _ZERO_ONE.get(value.lower(), 0.0)
        if not known:
            expected = f"one of {', '.join(map(repr, rule.positive + rule.negative))}" if rule.positive else "0 or 1"
            what = f"'{column}', the label of task '{rule.name}': expected {expected}, found '{value}'"
            sieve.refuse(text.codes == code, "label", what)
            continue
        meaning[code] = label
    return meaning[text.codes]
