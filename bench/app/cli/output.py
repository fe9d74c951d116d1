"""The command line's output: bars on a terminal, plain lines elsewhere; tables; one JSON document
on request.

Results go to stdout, everything else to stderr, so that `--json` can be piped. On a terminal prose
and tables keep its width; where there is none, lines are as long as they are. No table breaks a
number or a word: where it is too wide, text wraps between words, then its columns go into several
tables, each with the first column.
"""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from bench.core.plain import jsonable
from bench.core.system.progress import Advance, Progress, Work, duration

ENDLESS = 100_000  # cells: tables keep the width themselves
PLAIN_EVERY = 5.0  # seconds between progress lines where there is no terminal
ENOUGH_DONE = 0.05
"""Share of a task after which its pace says something of the rest; the first jobs on a machine
compile.
"""


class TimeLeft(ProgressColumn):
    """The time left at the pace since the beginning. Rich's own is by the last 30 s, and where
    steps take longer, none.

    Args:
        done_before: how much was done at an earlier time.

    Attributes:
        later: seconds that follow the task; None where nothing does.
    """

    max_refresh = 0.5

    def __init__(self, done_before: float) -> None:
        super().__init__()
        self._done_before = done_before
        self.later: float | None = None

    def render(self, task: Task) -> Text:
        """See `time_left`."""
        done = task.completed - self._done_before
        total = (task.total or 0) - self._done_before
        return Text(time_left(done, total, task.elapsed or 0.0, self.later))


class TerminalProgress(Progress):
    """Bars with rate and time left on a terminal, and a plain line every few seconds elsewhere; on
    stderr.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """A bar, or lines."""
        return self._bar(work) if self.console.is_terminal else self._lines(work)

    def note(self, text: str) -> None:
        """A sentence on stderr."""
        _print(self.console, text, whole=not self.console.is_terminal)

    @contextmanager
    def _bar(self, work: Work) -> Iterator[Advance]:
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(show_speed=True),
        ]
        if work.unit == "B":
            columns += [DownloadColumn(), TransferSpeedColumn()]
        else:
            columns += [MofNCompleteColumn(), TextColumn(work.unit)]
        left = TimeLeft(work.done)
        with Bars(*columns, left, console=self.console, transient=True) as bars:
            task = bars.add_task(work.description, total=work.total, completed=round(work.done))

            def advance(amount: float) -> None:
                if work.later is not None:  # asked here: a thread of its own draws the bar
                    left.later = work.later()
                bars.advance(task, amount)

            yield advance

    @contextmanager
    def _lines(self, work: Work) -> Iterator[Advance]:
        started = last_line = time.monotonic()
        done_now = 0.0

        def advance(amount: float) -> None:
            nonlocal done_now, last_line
            done_now += amount
            now = time.monotonic()
            if now - last_line >= PLAIN_EVERY:
                last_line = now
                self._line(_progress_line(work, done_now, now - started))

        yield advance

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr)


def _progress_line(work: Work, done: float, elapsed: float) -> str:
    """How far a work is; `done` of it took `elapsed` seconds."""
    reached = quantity(work.done + done, work.unit)
    if work.total:
        reached = f"{amount_of(work.done + done, work.unit)} of {quantity(work.total, work.unit)}"
    parts = [f"{work.description}: {reached}", pace(done / elapsed, work.unit)]
    later = work.later() if work.later else None
    left = time_left(done, (work.total or 0) - work.done, elapsed, later)
    if left:
        parts.append(left)
    return ", ".join(parts)


class NotebookProgress(TerminalProgress):
    """In a notebook: the last note, and below it how far the work is, in the place of what was
    shown before.
    """

    def __init__(self) -> None:
        from IPython.display import display

        super().__init__()
        self._note = ""
        self._display = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def note(self, text: str) -> None:
        """A sentence, which stays until the next one."""
        self._note = text
        self._line("")

    def _line(self, text: str) -> None:
        self._display.update({"text/plain": f"{self._note}\n{text}".strip()}, raw=True)


def time_left(done: float, total: float, elapsed: float, later: float | None) -> str:
    """The time left, as in `20 s left`; in all where something follows. Empty until the pace is
    known.
    """
    if total <= 0 or done < ENOUGH_DONE * total or (done >= total and not later):
        return ""
    seconds = max(0.0, total - done) * elapsed / done
    if later is None:
        return f"{duration(seconds)} left"
    return f"{duration(seconds + later)} left in all"


def quantity(amount: float, unit: str) -> str:
    """A readable number of a unit: 1,234 rows; 5.2 MB."""
    return f"{amount_of(amount, unit)} {'MB' if unit == 'B' else unit}"


def amount_of(amount: float, unit: str) -> str:
    """The number alone, as in `1,234 of 5,000 rows`."""
    if unit == "B":
        return f"{amount / 1e6:,.1f}"
    if amount >= 10 or amount == int(amount):
        return f"{amount:,.0f}"
    return f"{amount:.2f}"


def pace(rate: float, unit: str) -> str:
    """How fast: 1,234 rows/s; where one takes longer than a second, 12 s each."""
    if 0 < rate < 1 and unit != "B":
        return f"{1 / rate:,.0f} s each"
    return f"{quantity(rate, unit)}/s"


def number(value: object) -> str:
    """A value for a table cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and value == int(value)):
        return f"{int(value):,}"
    return f"{value:.5f}" if abs(value) < 10 else f"{value:,.1f}"


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table on stdout, nothing without rows; numbers are right-aligned. Text is never read as
    markup.
    """
    columns = []
    for header, *values in zip(headers, *rows, strict=True):
        numeric = all(isinstance(value, int | float | None) for value in values)
        columns.append(Column(header, [*map(number, values)], numeric))
    if not columns or not columns[0].cells:
        return
    say(title)
    for table in tables(columns):
        Console(width=ENDLESS).print(table, crop=False)


def say(*texts: str, whole: bool = False) -> None:
    """Sentences of results on stdout, each on a line of its own; an empty one is left out.

    Args:
        whole: never break them, because the user will copy them: a command, or a path.
    """
    for text in texts:
        if text:
            _print(Console(), text, whole or not sys.stdout.isatty())


def _print(console: Console, text: str, whole: bool) -> None:
    console.print(Text(text), soft_wrap=whole)


def print_json(document: object) -> None:
    """One JSON document on stdout; a number that JSON does not have becomes null."""
    json.dump(jsonable(document), sys.stdout, indent=2, sort_keys=False)
    sys.stdout.write("\n")


CommandOutput = Generator[object, None, None]
"""Of a command: it yields its document, or a function that makes it, and then says the same in
words.
"""


EDGE, BETWEEN = 4, 3
"""What the frame takes at both ends together, and between two columns."""


@dataclass(frozen=True)
class Column:
    """A column of a table, as texts."""

    header: str
    cells: list[str]
    numeric: bool

    @cached_property
    def widest(self) -> int:
        """Width of its longest text."""
        return max(map(cell_len, [self.header, *self.cells]))

    @cached_property
    def narrowest(self) -> int:
        """Width of its longest word."""
        return max(map(cell_len, " ".join([self.header, *self.cells]).split(" ")))


def tables(columns: Sequence[Column]) -> list[Table]:
    """A table of texts as one or several, as wide as the terminal where its words allow it."""
    width = Console().width if sys.stdout.isatty() else ENDLESS
    return [_table(group, width) for group in _groups(columns, width)]


def _groups(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Columns by table: as many as there is room for, after the first."""
    first, *others = columns
    groups = [[first]]
    taken = EDGE + first.narrowest
    for column in others:
        if len(groups[-1]) > 1 and taken + BETWEEN + column.narrowest > width:
            groups.append([first])
            taken = EDGE + first.narrowest
        groups[-1].append(column)
        taken += BETWEEN + column.narrowest
    return groups


def _table(columns: Sequence[Column], width: int) -> Table:
    table = Table(header_style="bold")
    room = width - EDGE - BETWEEN * (len(columns) - 1)
    for column, size in zip(columns, _sizes(columns, room), strict=True):
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        table.add_column(Text(column.header), justify=justify, width=size, overflow="crop")
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, cells))
    return table


def _sizes(columns: Sequence[Column], room: int) -> list[int]:
    """Widths of columns: what they take; where that is too much, the widest that can wrap are made
    narrower.
    """
    narrowest = [column.narrowest for column in columns]
    sizes = [column.widest for column in columns]
    while sum(sizes) > room:
        wrappable = [index for index, size in enumerate(sizes) if size > narrowest[index]]
        if not wrappable:
            break
        sizes[max(wrappable, key=sizes.__getitem__)] -= 1
    return sizes


PAUSE = 2.0
"""Seconds between two looks; ten times as long as a look takes, where that is more."""
LONGEST_SLEEP = 5.0

T = TypeVar("T")


def watch(look: Callable[[], T], show: Callable[[T], None], going: Callable[[], bool]) -> None:
    """Looks and shows until nothing goes on any more; what there is then is shown, too.

    Args:
        look: gives what is to be shown; equal values are shown once where there is no terminal.
        going: whether it may still change.
    """
    with Live(auto_refresh=False) if sys.stdout.isatty() else nullcontext() as live:
        last_state: T | None = None
        while True:
            goes_on = going()  # asked first: what is shown last is how it ended
            began = time.monotonic()
            state = look()
            if live is not None:
                with redirect_stdout(_Terminal()) as terminal:
                    show(state)
                live.update(Text.from_ansi(terminal.getvalue().rstrip("\n")), refresh=True)
            elif state != last_state:
                show(state)
                sys.stdout.flush()
            last_state = state
            if not goes_on:
                return
            _wait(max(PAUSE, 10 * (time.monotonic() - began)), going)


def _wait(seconds: float, going: Callable[[], bool]) -> None:
    """Sleeps; if nothing goes on any more, the end is seen soon, however long the wait."""
    while seconds > LONGEST_SLEEP and going():
        time.sleep(2)
        seconds -= 2
    time.sleep(min(seconds, LONGEST_SLEEP))


class _Terminal(io.StringIO):
    """Collects text that is formatted as for the terminal."""

    def isatty(self) -> bool:
        return True
