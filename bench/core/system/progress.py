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
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Silent(Progress):
    """Shows nothing."""

    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """See `Progress.show`."""
        return nullcontext(lambda amount: None)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
