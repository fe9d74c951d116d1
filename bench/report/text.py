"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.objectives import in_thousandths
from bench.records import Scalar
from bench.report.view import Spread

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
ABBREVIATIONS = {"auc": "AUC", "gauc": "GAUC", "cvr": "CVR", "ctcvr": "CTCVR", "ne": "NE", "ece": "ECE", "rmse": "RMSE"}
LARGE = ((1e9, 1e9, f"{THIN}G"), (1e6, 1e6, f"{THIN}M"), (1e4, 1e3, f"{THIN}K"))
"""From which size on, the unit, and its name."""


def number(value: float | None) -> str:
    """A measured value: four decimals below 10, as AUC is printed in the field; else four digits and K, M or G."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    size = abs(value)
    if size < 10:
        text = f"{size:.4f}" if size >= 1e-3 or size == 0 else f"{size:.2g}"
    else:
        unit, suffix = next(((unit, name) for at, unit, name in LARGE if size >= at), (1.0, ""))
        text = f"{size / unit:.4g}{suffix}"
    return MINUS + text if value < 0 else text


def signed(gain: float, scale: float) -> str:
    """A gain that was multiplied by its scale: with its sign, unless it prints as zero."""
    text = f"{abs(gain):.1f}" if scale > 1 else number(abs(gain))
    if text.strip("0.") == "":
        return text
    return f"{'+' if gain > 0 else MINUS}{text}"


def plain(value: float) -> str:
    """A value that somebody chose, such as a reference: as written where it is short."""
    return f"{value:g}" if abs(value) < 1e4 else number(value)


def clipped(name: str, most: int = 22) -> str:
    """A name that leaves room for what it names."""
    return name if len(name) <= most else f"{name[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def duration(seconds: float) -> str:
    """Its two largest units: `8 min 40 s`."""
    if seconds < 60:
        return f"{seconds:.1f}{THIN}s" if seconds < 10 else f"{seconds:.0f}{THIN}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60}{THIN}min"


def count(amount: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def length(samples: int, until: int | None, full: int | None) -> str:
    """For how long a point was trained: `64,000 samples`, or `stopped at 1/4, after 16,000 samples`.

    Args:
        until: `samples` where that is short of full length.
        full: samples of full length, where they are known.
    """
    if until is None:
        return f"{samples:,} samples"
    if full is None:
        return f"stopped after {samples:,} samples"
    parts = round(full / samples)
    share = f"1/{parts}" if parts > 1 and abs(full / samples - parts) < 0.02 * parts else f"{samples / full:.0%}"
    return f"stopped at {share}, after {samples:,} samples"


def listed(numbers: Sequence[int], most: int = 12) -> str:
    """Trial numbers with a comma between; the tail of a long list is counted."""
    text = ", ".join(str(each) for each in numbers[:most])
    return text if len(numbers) <= most else f"{text} and {len(numbers) - most:,} more"


def scalar(value: Scalar) -> str:
    """The value of a parameter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def label(objective: str) -> str:
    """The name of an objective for axes: `income.auc` -> `income AUC`, `cost/parameters` -> `parameters`."""
    parts = objective.removeprefix("cost/").split(".")
    return " ".join(ABBREVIATIONS.get(part, part) if i else part for i, part in enumerate(parts))


def gain_scale(objective: str) -> float:
    """What a gain in this objective is multiplied by before it is printed."""
    return 1000.0 if in_thousandths(objective) else 1.0


def spread(of: Spread) -> str:
    """Mean and, of two replicates or more, their standard deviation, to five decimals where values are below 10."""
    if of.sd is None:
        return number(of.mean)
    mean, sd = (f"{value:.5f}" for value in (of.mean, of.sd)) if abs(of.mean) < 10 else map(number, (of.mean, of.sd))
    return f"{mean.replace('-', MINUS)} \N{PLUS-MINUS SIGN}{THIN}{sd}"
