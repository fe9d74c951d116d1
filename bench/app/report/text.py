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


def number(value: float | None) -> str:
    """A measured value: four decimals below 10, as AUC is printed in the field; else four digits
    and K, M or G.
    """
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
    text = f"{abs(gain):.{1 if abs(gain) < 20 else 0}f}" if scale > 1 else number(abs(gain))
    if text.strip("0.") == "":
        return text
    return f"{'+' if gain > 0 else MINUS}{text}"


def listed(numbers: Sequence[int], most: int = 12) -> str:
    """Trial numbers with a comma between; the tail of a long list is counted."""
    text = ", ".join(str(each) for each in numbers[:most])
    return text if len(numbers) <= most else f"{text} and {len(numbers) - most:,} more"


def markdown_table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown, nothing without rows."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (headers, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV, in which no text or header is a formula that a spreadsheet would run; numbers
    stay numbers.
    """

    def safe(cell: object) -> object:
        return (
            f"'{cell}"
            if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            else cell
        )

    cells = table.astype(object).map(safe)
    return cells.set_axis([safe(name) for name in table.columns], axis=1).to_csv(index=False)


def sentences(told: str) -> list[str]:
    """The sentences of a text, one by one."""
    return re.split(r"(?<=[.!?]) (?=[A-Z])", told) if told else []


def dataset(id: str) -> str:
    """A data set's name: its id, or of a card's path the name of its folder."""
    path = Path(id)
    return path.parent.name if path.name == "card.toml" else id


def label(objective: str) -> str:
    """The name of an objective for axes: `income.auc` -> `income AUC`, `cost/parameters` ->
    `parameters`.
    """
    parts = objective.removeprefix("cost/").split(".")
    return " ".join(
        [parts[0], *(part.upper() if part in ABBREVIATIONS else part for part in parts[1:])]
    )
