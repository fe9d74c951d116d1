"""How far a trial has come: what is known of it when something is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Progress = Literal["running", "waiting", "failed"]


@dataclass(frozen=True)
class Standing:
    """How far a trial has come.

    Attributes:
        number: of the trial.
        kind: its way of sharing.
        results: the objectives' values at each rung that it reached, from the lowest. One that is not finite keeps the
            trial where it is.
        progress: on the way to the rung above `results`; waiting there to go on, or done at the top; or failed on that
            way.
        granted: rungs to which the floor let it go on.
    """

    number: int
    kind: str
    results: tuple[tuple[float, ...], ...]
    progress: Progress
    granted: frozenset[int] = frozenset()

    @property
    def begun(self) -> int:
        """How many rungs it was, or is being, trained to."""
        return len(self.results) + (self.progress != "waiting")

    def settled(self, rung: int) -> bool:
        """Whether it is known what became of it at a rung: a result, or failed on the way there."""
        return len(self.results) > rung or (len(self.results) == rung and self.progress == "failed")

    def left(self, rung: int) -> bool:
        """Whether it went on from a rung, whatever came of that."""
        return self.begun > rung + 1

    def waits(self, rung: int) -> bool:
        """Whether it could go on from a rung now."""
        return len(self.results) == rung + 1 and self.progress == "waiting"
