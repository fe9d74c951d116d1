"""The scale of a regression's training targets, fitted on train alone.

Log losses begin between .1 and .7. A squared error begins at the label's variance, which may be thousands: its gradient
then drowns every other task's on what they share. Labels are therefore standardised, so that half the squared error
begins at .5.

`auto` takes the logarithm log(1 + y) where no label is negative and their skewness is above 2, that of an exponential
distribution: spend, seconds watched, counts. All else is standardised as it is. Extreme labels neither make the scale
nor dominate a step: see `_fence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.data.tasks import TaskRule
from bench.errors import UserError
from bench.schema import Scale, Task

SKEWED = 2.0
ROWS = 1 << 20
"""Of a larger split, so many rows are drawn."""
TAIL = 0.001
Values = NDArray[np.float64]


def scaled_tasks(rules: Sequence[TaskRule], labels: NDArray[np.float32], key: str) -> tuple[Task, ...]:
    """The tasks of a card, each regression with the scale of its labels.

    Args:
        labels: (N, T) of train, in the order of the rules; NaN where unobserved.
        key: of the card, for errors.

    Raises:
        UserError: `scale = "log1p"`, and a label is negative.
    """
    if all(rule.kind == "binary" for rule in rules):
        return tuple(rule.task for rule in rules)
    if len(labels) > ROWS:
        labels = labels[np.sort(np.random.default_rng(0).integers(0, len(labels), ROWS))]
    labels = np.asarray(labels, np.float64)
    at = {rule.name: number for number, rule in enumerate(rules)}
    tasks = []
    for rule, own in zip(rules, labels.T, strict=True):
        if rule.kind == "binary" or rule.scale == "none":
            tasks.append(rule.task)
            continue
        counts = np.isfinite(own)
        if rule.parent is not None:
            counts &= labels[:, at[rule.parent]] == 1
        if rule.scale == "log1p" and own[counts].min(initial=0.0) < 0:
            found = f"task '{rule.name}' has the label {own[counts].min():g}"
            raise UserError(f'{key}: scale = "log1p" needs labels of 0 or more, but {found}; say "standard"')
        log = None if rule.scale == "auto" else rule.scale == "log1p"
        tasks.append(replace(rule.task, scale=scale_of(own[counts], log)))
    return tuple(tasks)


def scale_of(labels: Values, log: bool | None = None) -> Scale:
    """The scale of labels (N,), none of them NaN; of no label, the identity.

    Args:
        log: whether to take the logarithm; None decides by the labels.
    """
    if not len(labels):
        return Scale(log=False, centre=0.0, spread=1.0, low=0.0, high=0.0, mean=0.0)
    low, high = _fence(labels)
    inside = labels[(labels >= low) & (labels <= high)]
    if log is None:
        log = bool(labels.min() >= 0) and _skewness(inside) > SKEWED
    values = np.log1p(labels) if log else labels
    low, high = _fence(values)
    values = values[(values >= low) & (values <= high)]
    spread = float(values.std())
    constant = spread <= 1e-7 * max(1.0, abs(float(values[0])))  # labels are float32
    return Scale(
        log=log,
        centre=float(values.mean()),
        spread=1.0 if constant else spread,
        low=float(values.min()),
        high=float(values.max()),
        mean=float((np.expm1(values) if log else values).mean()),
    )


def _fence(values: Values) -> tuple[float, float]:
    """Between these lies what is no outlier: twice as far from the median as all but a thousandth on that side.

    The largest and the smallest value are never among the quantiles: one wild label in a small data set stays outside.
    Where all but a thousandth on a side equal the median, nothing on that side is taken for an outlier: rare purchases
    are no mistakes.
    """
    ordered = np.sort(values)
    last = len(ordered) - 1
    middle = ordered[last // 2]
    below, above = ordered[min(int(np.ceil(last * TAIL)), last // 2)], ordered[max(int(last * (1 - TAIL)), last // 2)]
    low = ordered[0] if below == middle else middle - 2 * (middle - below)
    high = ordered[-1] if above == middle else middle + 2 * (above - middle)
    return float(low), float(high)


def _skewness(values: Values) -> float:
    apart = values - values.mean()
    deviation = apart.std()
    return float((apart**3).mean() / deviation**3) if deviation > 0 else 0.0
