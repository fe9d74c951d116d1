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
from typing import Any, TypeVar

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
        done: how much was done at an earlier time.

    Attributes:
        later: seconds that follow the task; None where nothing does.
    """

    max_refresh = 0.5

    def __init__(self, done: float) -> None:
        super().__init__()
        self._done = done
        self.later: float | None = None

    def render(self, task: Task) -> Text:
        """See `left`."""
        total = (task.total or 0) - self._done
        return Text(left(task.completed - self._done, total, task.elapsed or 0.0, self.later))


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
        unit, later = work.unit, work.later
        amount = (
            (DownloadColumn(), TransferSpeedColumn())
            if unit == "B"
            else (MofNCompleteColumn(), TextColumn(unit))
        )
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(show_speed=True),
            *amount,
        )
        time_left = TimeLeft(work.done)
        with Bars(*columns, time_left, console=self.console, transient=True) as progress:
            task = progress.add_task(work.description, total=work.total, completed=round(work.done))

            def advance(amount: float) -> None:
                time_left.later = (
                    later() if later else None
                )  # here, because the bar is drawn in a thread of its own
                progress.advance(task, amount)

            yield advance

    @contextmanager
    def _lines(self, work: Work) -> Iterator[Advance]:
        started = shown = time.monotonic()
        total, unit, later, before = work.total, work.unit, work.later, work.done
        done = before

        def advance(amount: float) -> None:
            nonlocal done, shown
            done += amount
            now = time.monotonic()
            if now - shown >= PLAIN_EVERY:
                shown = now
                rate = (done - before) / (now - started)
                reached = (
                    f"{amount_of(done, unit)} of {quantity(total, unit)}"
                    if total
                    else quantity(done, unit)
                )
                rest = left(
                    done - before, (total or 0) - before, now - started, later() if later else None
                )
                self._line(
                    f"{work.description}: {reached}, {pace(rate, unit)}{rest and f', {rest}'}"
                )

        yield advance

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr)


class NotebookProgress(TerminalProgress):
    """In a notebook: the last note, and below it how far the work is, in the place of what was
    shown before.
    """

    def __init__(self) -> None:
        from IPython.display import display

        super().__init__()
        self._note = ""
        self._shown = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def note(self, text: str) -> None:
        """A sentence, which stays until the next one."""
        self._note = text
        self._line("")

    def _line(self, text: str) -> None:
        self._shown.update({"text/plain": f"{self._note}\n{text}".strip()}, raw=True)


def left(done: float, total: float, elapsed: float, later: float | None) -> str:
    """The time left, as in `20 s left`; in all where something follows. Empty until the pace is
    known.
    """
    if total <= 0 or done < ENOUGH_DONE * total or (done >= total and not later):
        return ""
    seconds = max(0.0, total - done) * elapsed / done
    return (
        f"{duration(seconds)} left" if later is None else f"{duration(seconds + later)} left in all"
    )


def quantity(amount: float, unit: str) -> str:
    """A readable number of a unit: 1,234 rows; 5.2 MB."""
    return f"{amount_of(amount, unit)} {'MB' if unit == 'B' else unit}"


def amount_of(amount: float, unit: str) -> str:
    """The number alone, as in `1,234 of 5,000 rows`."""
    if unit == "B":
        return f"{amount / 1e6:,.1f}"
    return f"{amount:,.0f}" if amount >= 10 or amount == int(amount) else f"{amount:.2f}"


def pace(rate: float, unit: str) -> str:
    """How fast: 1,234 rows/s; where one takes longer than a second, 12 s each."""
    return (
        f"{1 / rate:,.0f} s each" if 0 < rate < 1 and unit != "B" else f"{quantity(rate, unit)}/s"
    )


def number(value: Any) -> str:
    """A value for a table cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and value == int(value)):
        return f"{int(value):,}"
    return f"{value:.5f}" if abs(value) < 10 else f"{value:,.1f}"


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table on stdout, nothing without rows; numbers are right-aligned. Text is never read as
    markup.
    """
    if not (rows := [list(row) for row in rows]):
        return
    numeric = [
        all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(headers))
    ]
    say(title)
    for table in tables(headers, [[number(value) for value in row] for row in rows], numeric):
        Console(width=ENDLESS).print(table, crop=False)


def say(*texts: str, whole: bool = False) -> None:
    """Sentences of results on stdout, each on a line of its own; an empty one is left out.

    Args:
        whole: never break them, because the user will copy them: a command, or a path.
    """
    for text in filter(None, texts):
        _print(Console(), text, whole or not sys.stdout.isatty())


def _print(console: Console, text: str, whole: bool) -> None:
    console.print(Text(text), soft_wrap=whole)


def print_json(document: Any) -> None:
    """One JSON document on stdout; a number that JSON does not have becomes null."""
    json.dump(jsonable(document), sys.stdout, indent=2, sort_keys=False)
    sys.stdout.write("\n")


CommandOutput = Generator[Any, None, None]
"""Of a command: it yields its document, or a function that makes it, and then says the same in
words.
"""


EDGE, BETWEEN = 4, 3
"""What the frame takes at both ends together, and between two columns."""


def tables(
    headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> list[Table]:
    """A table of texts as one or several, as wide as the terminal where its words allow it.

    Args:
        numeric: of each column, whether it is right-aligned.
    """
    columns = [[header, *(row[at] for row in rows)] for at, header in enumerate(headers)]
    widest = [max(map(cell_len, column)) for column in columns]
    least = [
        max(cell_len(word) for cell in column for word in cell.split(" ")) for column in columns
    ]
    width = Console().width if sys.stdout.isatty() else ENDLESS
    made = []
    for group in _groups(least, width):
        room = width - EDGE - BETWEEN * (len(group) - 1)
        table = Table(header_style="bold")
        for at, size in zip(
            group,
            _sizes([widest[at] for at in group], [least[at] for at in group], room),
            strict=True,
        ):
            table.add_column(
                Text(headers[at]),
                justify="right" if numeric[at] else "left",
                width=size,
                overflow="crop",
            )
        for row in rows:
            table.add_row(*(Text(row[at]) for at in group))
        made.append(table)
    return made


def _groups(least: Sequence[int], width: int) -> list[list[int]]:
    """Columns by table: as many as there is room for, after the first."""
    groups: list[list[int]] = [[0]]
    for at in range(1, len(least)):
        if (
            len(groups[-1]) > 1
            and EDGE + sum(least[each] + BETWEEN for each in groups[-1]) + least[at] > width
        ):
            groups.append([0])
        groups[-1].append(at)
    return groups


def _sizes(widest: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of columns: what they take; where that is too much, the widest that can wrap are made
    narrower.
    """
    sizes = list(widest)
    while sum(sizes) > room:
        slack = [at for at, size in enumerate(sizes) if size > least[at]]
        if not slack:
            break
        sizes[max(slack, key=lambda at: sizes[at])] -= 1
    return sizes


PAUSE = 2.0
"""Seconds between two looks; ten times as long as a look takes, where that is more."""

T = TypeVar("T")


def watch(look: Callable[[], T], show: Callable[[T], None], going: Callable[[], bool]) -> None:
    """Looks and shows until nothing goes on any more; what there is then is shown, too.

    Args:
        look: gives what is to be shown; equal values are shown once where there is no terminal.
        going: whether it may still change.
    """
    with Live(auto_refresh=False) if sys.stdout.isatty() else nullcontext() as live:
        before: T | None = None
        while True:
            goes_on, began = (
                going(),
                time.monotonic(),
            )  # asked first: what is shown last is how it ended
            state = look()
            if live is not None:
                with redirect_stdout(_Terminal()) as out:
                    show(state)
                live.update(Text.from_ansi(out.getvalue().rstrip("\n")), refresh=True)
            elif state != before:
                show(state)
                sys.stdout.flush()
            before = state
            if not goes_on:
                return
            wait = max(PAUSE, 10 * (time.monotonic() - began))
            while wait > 5 and going():  # its end is seen soon, however long a look takes
                time.sleep(2)
                wait -= 2
            time.sleep(min(wait, 5))


class _Terminal(io.StringIO):
    """Collects text that is formatted as for the terminal."""

    def isatty(self) -> bool:
        return True
