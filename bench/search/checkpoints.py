"""Where the jobs of a search leave their checkpoints, which are still of use, and what they may take on disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from bench.search.fidelity import best_first_across_rungs
from bench.search.promotion import Rules
from bench.search.standing import Standing


class Checkpoints:
    """A search's folder of checkpoints: `<trial>/<rung>`.

    All of it can be lost: a trial whose checkpoint is gone is trained again from its beginning, to the same result.

    Args:
        most: bytes that all may take. Those that running jobs start from are never removed.
    """

    def __init__(self, folder: Path, most: float = math.inf) -> None:
        self._folder = folder.resolve() / "checkpoints"
        self._most = most
        self._bytes: dict[int, int] = {}

    def path(self, trial: int, rung: int) -> Path:
        """Where a trial's job leaves what the next one starts from."""
        return self._folder / str(trial) / str(rung)

    def tidy(self, standings: Iterable[Standing], rungs: int) -> None:
        """Removes what no job will start from any more: checkpoints below a trial's last, and all of one at its end.

        Args:
            rungs: how many there are.
        """
        for standing in standings:
            self._bytes.pop(standing.number, None)
            if standing.progress == "failed" or len(standing.results) == rungs:
                shutil.rmtree(self._folder / str(standing.number), ignore_errors=True)
                continue
            for rung in range(len(standing.results) - 1):
                self.path(standing.number, rung).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                last = self.path(standing.number, len(standing.results) - 1)
                self._bytes[standing.number] = last.stat().st_size

    def fit(self, standings: Sequence[Standing], rules: Rules) -> None:
        """Removes those of the worst waiting trials, until the rest takes no more than it may; after `tidy`.

        Args:
            standings: of every trial, by number.
        """
        left = sum(self._bytes.values())
        if left <= self._most:
            return
        waiting = [number for number in sorted(self._bytes) if standings[number].progress == "waiting"]
        results = [standings[number].results for number in waiting]
        order = best_first_across_rungs(results, rules.objectives, rules.reference)
        for row in reversed(order):
            if left <= self._most:
                return
            number = waiting[row]
            shutil.rmtree(self._folder / str(number), ignore_errors=True)
            left -= self._bytes.pop(number)

    def used(self) -> tuple[int, int]:
        """How many trials have one, and what all take, in bytes."""
        sizes = {}
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):  # a driver may just have removed it
                sizes[path] = path.stat().st_size
        return len({path.parent for path in sizes}), sum(sizes.values())

    def clear(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)
