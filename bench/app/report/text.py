"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
ABBREVIATIONS = ("auc", "gauc", "cvr", "ctcvr", "ne", "ece", "rmse", "mae", "xauc")
LARGE = ((1e9, 1e9, f"{THIN}G"), (1e6, 1e6, f"{THIN}M"), (1e4, 1e3, f"{THIN}K"))
"""From which size on, the unit, and its name."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run."""


def number(value: float | None) -> str:
    """A measured value: four decimals below 10, as AUC is printed in the field; else four digits
    and K, M or G.
    """
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    text = _digits(abs(value))
    return MINUS + text if value < 0 else text


def _digits(size: float) -> str:
    if 0 < size < 1e-3:
        return f"{size:.2g}"
    if size < 10:
        return f"{size:.4f}"
    for bound, unit, name in LARGE:
        if size >= bound:
            return f"{size / unit:.4g}{name}"
    return f"{size:.4g}"


def signed(gain: float, scale: float) -> str:
    """A gain that was multiplied by its scale: with its sign, unless it prints as zero."""
    size = abs(gain)
    digits = 1 if size < 20 else 0
    text = f"{size:.{digits}f}" if scale > 1 else number(size)
    if text.strip("0.") == "":
        return text
    return f"{'+' if gain > 0 else MINUS}{text}"


def listed(numbers: Sequence[int], limit: int = 12) -> str:
    """Trial numbers with a comma between; the tail of a long list is counted."""
    text = ", ".join(str(number) for number in numbers[:limit])
    if len(numbers) <= limit:
        return text
    return f"{text} and {len(numbers) - limit:,} more"


def markdown_table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown, nothing without rows."""
    lines = []
    for row in (headers, *rows):
        cells = [cell.replace("|", "\\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
        if len(lines) == 1:
            lines.append(f"| {' | '.join(['---'] * len(cells))} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV, in which no text or header is a formula that a spreadsheet would run; numbers
    stay numbers.
    """
    cells = table.astype(object).map(_without_formula)
    headers = [_without_formula(name) for name in table.columns]
    return cells.set_axis(headers, axis=1).to_csv(index=False)


def _without_formula(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(FORMULA):
        return f"'{cell}"
    return cell


def sentences(text: str) -> list[str]:
    """The sentences of a text, one by one."""
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text) if text else []


def dataset(id: str) -> str:
    """A data set's name: its id, or of a card's path the name of its folder."""
    path = Path(id)
    return path.parent.name if path.name == "card.toml" else id


def label(objective: str) -> str:
    """The name of an objective for axes: `income.auc` -> `income AUC`, `cost/parameters` ->
    `parameters`.
    """
    first, *rest = objective.removeprefix("cost/").split(".")
    words = [first]
    for part in rest:
        words.append(part.upper() if part in ABBREVIATIONS else part)
    return " ".join(words)
