"""The rows of one split on disk between the two passes: labels and groups are final, codes and numbers are not yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.append import ArrayWriter
from bench.data.card import Card
from bench.data.counting import LabelCounts
from bench.data.encoding.fitter import Provisional

CHUNK = 1 << 14
"""Rows of a step of the second pass."""


class Spill:
    """A folder of the store to be.

    Attributes:
        counts: of labels.
    """

    def __init__(self, folder: Path, card: Card, widths: tuple[int, int], stack: ExitStack) -> None:
        """Makes the folder; its files are closed with the stack.

        Args:
            widths: C and M.
        """
        folder.mkdir()
        self.folder, self.widths, self.counts = folder, widths, LabelCounts(card)
        self._labels = stack.enter_context(ArrayWriter(folder / "labels.npy", np.float32, (len(card.tasks),)))
        self._group = stack.enter_context(ArrayWriter(folder / "group.npy", np.int32))
        self._codes = stack.enter_context((folder / "codes").open("wb"))
        self._numbers = stack.enter_context((folder / "numbers").open("wb"))

    def append(self, labels: NDArray[Any], group: NDArray[Any], rows: Provisional) -> None:
        """Adds rows: labels (n, T), group (n,)."""
        self.counts.add(labels)
        self._labels.append(labels)
        self._group.append(group)
        self._codes.write(np.ascontiguousarray(rows.codes, np.int32).data)
        self._numbers.write(np.ascontiguousarray(rows.numbers, np.float64).data)

    def chunks(self) -> Iterator[tuple[int, Provisional]]:
        """(number of the first row, rows), after the files are closed; what was kept for this alone is removed."""
        with (self.folder / "codes").open("rb") as codes, (self.folder / "numbers").open("rb") as numbers:
            for start in range(0, self.counts.rows, CHUNK):
                size = min(CHUNK, self.counts.rows - start)
                own = np.fromfile(codes, np.int32, size * self.widths[0]).reshape(size, -1)
                beside = np.fromfile(numbers, np.float64, size * self.widths[1]).reshape(size, -1)
                yield start, Provisional(own, beside)
        (self.folder / "codes").unlink()
        (self.folder / "numbers").unlink()
