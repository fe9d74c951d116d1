"""What the user sees: bars on a terminal, plain lines elsewhere; tables; one JSON document on stdout where asked.

Results go to stdout, everything else to stderr, so that `--json` can be piped.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from bench.progress import Advance, duration

PLAIN_WIDTH = 200
PLAIN_EVERY = 5.0  # seconds between progress lines where there is no terminal


class TimeLeft(ProgressColumn):
    """The time left at the pace since the beginning. Rich's own is by the last 30 s, and where steps take longer, none.

    Args:
        done: how much was done at an earlier time.
    """

    max_refresh = 0.5

    def __init__(self, done: float) -> None:
        super().__init__()
        self._done = done

    def render(self, task: Task) -> Text:
        """As `3 min 20 s left`; the pace is known from the first step on."""
        now, elapsed = task.completed - self._done, task.elapsed or 0.0
        if not task.total or now <= 0 or task.completed >= task.total:
            return Text("")
        return Text(f"{duration((task.total - task.completed) * elapsed / now)} left")


class TerminalProgress:
    """Bars with rate and time left on a terminal, and a plain line every few seconds elsewhere; on stderr."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    @contextmanager
    def task(self, description: str, total: float | None, unit: str, done: float = 0.0) -> Iterator[Advance]:
        """A piece of work; see `bench.progress.Progress`."""
        show = self._bar if self.console.is_terminal else self._lines
        with show(description, total, unit, done) as advance:
            yield advance

    def note(self, text: str) -> None:
        """One line on stderr."""
        self.console.print(Text(text), soft_wrap=True)

    @contextmanager
    def _bar(self, description: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
        amount = (DownloadColumn(), TransferSpeedColumn()) if unit == "B" else (MofNCompleteColumn(), TextColumn(unit))
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(show_speed=True), *amount)
        with Progress(*columns, TimeLeft(done), console=self.console, transient=True) as progress:
            task = progress.add_task(description, total=total, completed=round(done))
            yield lambda amount: progress.advance(task, amount)

    @contextmanager
    def _lines(self, description: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
        started = shown = time.monotonic()
        before = done

        def advance(amount: float) -> None:
            nonlocal done, shown
            done += amount
            now = time.monotonic()
            if now - shown >= PLAIN_EVERY:
                shown = now
                rate = (done - before) / (now - started)
                of = f" of {quantity(total, unit)}" if total else ""
                left = f", {duration((total - done) / rate)} left" if total and rate > 0 else ""
                print(f"{description}: {quantity(done, unit)}{of}, {quantity(rate, unit)}/s{left}", file=sys.stderr)

        yield advance


def quantity(amount: float, unit: str) -> str:
    """A readable number of a unit: 1,234 rows; 5.2 MB."""
    if unit == "B":
        return f"{amount / 1e6:,.1f} MB"
    return f"{amount:,.0f} {unit}" if amount >= 10 or amount == int(amount) else f"{amount:.2f} {unit}"


def number(value: Any) -> str:
    """A value for a table cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and value == int(value)):
        return f"{int(value):,}"
    return f"{value:.5f}" if abs(value) < 10 else f"{value:,.1f}"


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """A table on stdout; numbers are right-aligned. Text is shown as it is, never read as markup."""
    rows = [list(row) for row in rows]
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    for at, header in enumerate(headers):
        numeric = rows and all(isinstance(row[at], int | float | None) for row in rows)
        table.add_column(Text(header), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(number(value)) for value in row))
    _stdout().print(table)


def say(text: str = "") -> None:
    """A line of results on stdout."""
    _stdout().print(Text(text), soft_wrap=True)


def _stdout() -> Console:
    """As wide as the terminal; where there is none, wide enough that no cell is folded for lack of one."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def print_json(document: Any) -> None:
    """One JSON document on stdout; a number that JSON does not have becomes null."""
    json.dump(_plain(document), sys.stdout, indent=2, sort_keys=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and callable(value.item):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
