"""The common lines of Ali-CCP: what many impressions share, kept on disk as codes and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.codes import UNKNOWN, IntegerCodes
from bench.data.readers.ali_ccp import Coder, Part, parts
from bench.data.readers.feature_lists import Lines
from bench.data.rejects import Rejects, Sieve
from bench.errors import UserError
from bench.progress import Progress

STEP = 1 << 16
"""Lines worked on at a time."""


class CommonLines:
    """The common lines of all pairs of files, one after another, in two files: 4 bytes a code, 8 a number.

    Attributes:
        rows: lines so far.
    """

    def __init__(self, folder: Path, coder: Coder) -> None:
        self.coder, self.rows = coder, 0
        self.widths = sum(coder.side.wanted.slots), sum(coder.side.wanted.summed)
        self._codes, self._numbers = folder / "common_codes", folder / "common_numbers"
        self._codes.touch()
        self._numbers.touch()

    def append(self, lines: Lines, grow: bool) -> None:
        """Adds lines; `grow` says whether values not met before get codes."""
        with self._codes.open("ab") as codes, self._numbers.open("ab") as numbers:
            codes.write(np.ascontiguousarray(self.coder.code(lines.ids, grow)).data)
            numbers.write(np.ascontiguousarray(lines.sums, np.float64).data)
        self.rows += len(lines.keys)

    def chunks(self, first: int = 0) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.float64]]]:
        """(number of the first line, codes, numbers) from line `first` on."""
        with self._codes.open("rb") as codes, self._numbers.open("rb") as numbers:
            codes.seek(4 * first * self.widths[0])
            numbers.seek(8 * first * self.widths[1])
            for start in range(first, self.rows, STEP):
                size = min(STEP, self.rows - start)
                yield (
                    start,
                    np.fromfile(codes, np.int32, size * self.widths[0]).reshape(size, -1),
                    np.fromfile(numbers, np.float64, size * self.widths[1]).reshape(size, -1),
                )

    def remove(self) -> None:
        """Removes both files."""
        self._codes.unlink()
        self._numbers.unlink()


class CommonTable:
    """Where the common lines of one pair of files are: 24 to 48 bytes for each are held."""

    def __init__(
        self, paths: Sequence[Path], lines: CommonLines, grow: bool, progress: Progress, rejects: Rejects
    ) -> None:
        """Reads the lines and appends them to `lines`.

        Raises:
            UserError: a line that does not fit the format, or an index that is there twice.
        """
        self.names, self.first, self._rows = " or ".join(path.name for path in paths), lines.rows, IntegerCodes()
        for part in parts(paths, lines.coder.side.wanted, False, progress, rejects):
            seen = len(self._rows)
            rows = self._row_numbers(part.lines, grow=True)
            if (twice := rows != np.arange(seen, seen + len(rows))).any():
                place = part.place(int(np.argmax(twice)))
                raise UserError(f"{place}: expected each common index once, found one again")
            lines.append(part.lines, grow)

    def __len__(self) -> int:
        return len(self._rows)

    def keys(self, start: int, size: int) -> tuple[str, ...]:
        """Of some rows, as texts."""
        return tuple(f"{key:016x}" for key in self._rows.values[start : start + size].tolist())

    def rows(self, part: Part, sieve: Sieve) -> NDArray[np.int64]:
        """(n,) the row that each impression refers to; the sieve takes impressions for which there is none."""
        found = self._row_numbers(part.lines, grow=False).astype(np.int64)
        if (absent := found == UNKNOWN).any():
            row = int(np.argmax(absent))
            line = part.block[int(part.lines.offsets[row]) :].split(b"\n", 1)[0]
            index = line.split(b",")[3].decode(errors="replace")
            sieve.refuse(absent, "common index", f"expected a common index of {self.names}, found '{index}'")
            found[absent] = 0
        return found

    def _row_numbers(self, lines: Lines, grow: bool) -> NDArray[np.int32]:
        hashes = (lines.keys & np.uint64(2**63 - 1)).astype(np.int64)[:, None]
        numbers = np.empty(hashes.shape, np.int32)
        self._rows.code(hashes, numbers, grow)
        return numbers[:, 0]
