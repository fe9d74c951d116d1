"""How long work says where it is. The command line draws bars; libraries and tests pass `Silent()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float], None]
"""Called with how much was done since the last call, in the task's unit."""


class Progress(Protocol):
    """Where progress and notes go."""

    def task(
        self,
        description: str,
        total: float | None,
        unit: str,
        done: float = 0.0,
        later: Callable[[], float] | None = None,
    ) -> AbstractContextManager[Advance]:
        """A piece of work of known or unknown size; the unit is a word such as "B", "rows" or "trials".

        Args:
            done: how much of it was done at an earlier time, which says nothing of how fast it goes now.
            later: seconds of what follows this task, as far as is known; it is asked each time that work is done, and
                added to the time left.
        """
        ...

    def note(self, text: str) -> None:
        """One line for the user."""
        ...


def duration(seconds: float) -> str:
    """A readable time: 8 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Silent:
    """Says nothing."""

    @contextmanager
    def task(
        self,
        description: str,
        total: float | None,
        unit: str,
        done: float = 0.0,
        later: Callable[[], float] | None = None,
    ) -> Iterator[Advance]:
        """Ignores the work's progress."""
        yield lambda amount: None

    def note(self, text: str) -> None:
        """Ignores the note."""
