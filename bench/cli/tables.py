"""Tables that fit a terminal, and never break a number or a word.

Where a table is too wide, text wraps between words; where that is not enough, its columns go into several tables, one
below the other, each with the first column, as pandas prints a wide frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

EDGE, BETWEEN = 4, 3
"""What the frame takes at both ends together, and between two columns."""


def tables(
    headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], width: int | None
) -> list[Table]:
    """A table of texts as one or several, at most `width` wide where its words allow it; None: as wide as they are.

    Args:
        numeric: of each column, whether it is right-aligned.
    """
    columns = [[header, *(row[at] for row in rows)] for at, header in enumerate(headers)]
    widest = [max(map(cell_len, column)) for column in columns]
    least = [
        max(cell_len(word) for place, cell in enumerate(column) for word, _ in _words(cell, place == 0))
        for column in columns
    ]
    made = []
    for group in [range(len(headers))] if width is None else _groups(least, width):
        room = None if width is None else width - EDGE - BETWEEN * (len(group) - 1)
        sizes = _sizes([widest[at] for at in group], [least[at] for at in group], room)
        table = Table(header_style="bold")
        for at, size in zip(group, sizes, strict=True):
            justify = "right" if numeric[at] else "left"
            header = Text("\n".join(wrapped(headers[at], size, slashes=True)))
            table.add_column(header, justify=justify, width=size, no_wrap=True)  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*(Text("\n".join(wrapped(row[at], size))) for at, size in zip(group, sizes, strict=True)))
        made.append(table)
    return made


def wrapped(text: str, width: int, slashes: bool = False) -> list[str]:
    """Lines of at most `width` cells, broken between words alone; a longer word has a line of its own.

    Text that begins with spaces goes on two further in.

    Args:
        slashes: whether a line may end after a slash, as in `valid/income.auc`.
    """
    first = text[: len(text) - len(text.lstrip(" "))]
    lines, line, started = [], first, False
    for word, before in _words(text.lstrip(" "), slashes):
        if started and cell_len(f"{line}{before}{word}") > width:
            lines.append(line)
            line, started = f"{first}  " if first else "", False
        line += f"{before}{word}" if started else word
        started = True
    return [*lines, line]


def _words(text: str, slashes: bool) -> Iterator[tuple[str, str]]:
    """Each word, and what stands before it."""
    for word in text.split(" "):
        for at, part in enumerate(re.split(r"(?<=/)(?=.)", word) if slashes else [word]):
            yield part, "" if at else " "


def _groups(least: Sequence[int], width: int) -> list[list[int]]:
    """Columns by table: as many as there is room for, after the first."""
    groups: list[list[int]] = [[0]]
    for at in range(1, len(least)):
        if len(groups[-1]) > 1 and EDGE + sum(least[each] + BETWEEN for each in groups[-1]) + least[at] > width:
            groups.append([0])
        groups[-1].append(at)
    return groups


def _sizes(widest: Sequence[int], least: Sequence[int], room: int | None) -> list[int]:
    """Widths of columns: what they take; where that is too much, the widest that can wrap are made narrower."""
    sizes = list(widest)
    while room is not None and sum(sizes) > room:
        slack = [at for at, size in enumerate(sizes) if size > least[at]]
        if not slack:
            break
        sizes[max(slack, key=lambda at: sizes[at])] -= 1
    return sizes
