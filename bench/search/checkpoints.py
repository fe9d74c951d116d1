"""Where the jobs of a search leave their checkpoints, and which of these are still of use."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from bench.search.promotion import Standing


class Checkpoints:
    """A search's folder of checkpoints: `<trial>/<rung>`.

    All of it can be lost: a trial whose checkpoint is gone is trained again from its beginning, to the same result.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve() / "checkpoints"

    def path(self, trial: int, rung: int) -> Path:
        """Where a trial's job leaves what the next one starts from."""
        return self._folder / str(trial) / str(rung)

    def tidy(self, standings: Iterable[Standing], rungs: int) -> None:
        """Removes what no job will start from any more: checkpoints below a trial's last, and all of one at its end.

        Args:
            rungs: how many there are.
        """
        for standing in standings:
            over = standing.progress == "failed" or len(standing.results) == rungs
            if over:
                shutil.rmtree(self._folder / str(standing.number), ignore_errors=True)
            for rung in range(0 if over else len(standing.results) - 1):
                self.path(standing.number, rung).unlink(missing_ok=True)

    def clear(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)
