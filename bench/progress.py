"""How long work says where it is. The command line draws bars; libraries and tests pass `Silent()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

Advance = Callable[[float], None]
"""Called with how much was done since the last call, in the task's unit."""


@dataclass(frozen=True)
class Work:
    """A piece of work of known or unknown size.

    Attributes:
        unit: a word such as "B", "rows" or "trials".
        done: how much of it was done at an earlier time, which says nothing of how fast it goes now.
        later: seconds of what follows this work, as far as is known; it is asked each time that work is done, and added
            to the time left.
    """

    description: str
    total: float | None
    unit: str
    done: float = 0.0
    later: Callable[[], float] | None = None


class Progress(ABC):
    """Where progress and notes go."""

    def task(
        self, description: str, total: float | None, unit: str, done: float = 0.0
    ) -> AbstractContextManager[Advance]:
        """A piece of work, see `Work`, for as long as the context lasts."""
        return self.show(Work(description, total, unit, done))

    @abstractmethod
    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """Shows a piece of work for as long as the context lasts."""

    @abstractmethod
    def note(self, text: str) -> None:
        """One line for the user."""


def duration(seconds: float) -> str:
    """A readable time: 8 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Silent(Progress):
    """Says nothing."""

    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """Ignores the work's progress."""
        return nullcontext(lambda amount: None)

    def note(self, text: str) -> None:
        """Ignores the note."""
