"""Progress reports. The command line draws bars; libraries and tests pass `Silent()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

Advance = Callable[[float], None]
"""Called with the amount done since the last call, in the task's unit."""


@dataclass(frozen=True)
class Work:
    """A piece of work of known or unknown size, in units such as "B", "rows" or "trials".

    Attributes:
        done: amount done earlier, left out of the speed.
        later: returns the estimated seconds of the work that follows, to be added to the time left;
            called at each advance.
    """

    description: str
    total: float | None
    unit: str
    done: float = 0.0
    later: Callable[[], float] | None = None


class Progress(ABC):
    """Receives progress and notes."""

    def task(
        self, description: str, total: float | None, unit: str, done: float = 0.0
    ) -> AbstractContextManager[Advance]:
        """Shows a piece of work, see `Work`, while the context lasts."""
        return self.show(Work(description, total, unit, done))

    @abstractmethod
    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """Shows a piece of work while the context lasts."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Shows one line to the user."""


def duration(seconds: float) -> str:
    """Formats a time: 8 s, 3 min 20 s, 1 h 05 min."""
    rounded = round(seconds)
    minutes, second = divmod(rounded, 60)
    hours, minute = divmod(minutes, 60)
    if rounded < 60:
        return f"{rounded} s"
    if hours == 0:
        return f"{minute} min {second:02d} s"
    return f"{hours} h {minute:02d} min"


class Silent(Progress):
    """Shows nothing."""

    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """Shows nothing."""
        return nullcontext(lambda amount: None)

    def note(self, text: str) -> None:
        """Drops the line."""
