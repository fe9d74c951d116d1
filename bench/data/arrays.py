"""`.npy` files written and read row by row, without holding or mapping the array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bench.errors import UserError
from bench.mapped import mapped


class ArrayWriter:
    """Appends rows to a `.npy` file of shape (N, *row); N is known at the end.

    numpy pads a header so that a growing first axis fits into the same bytes; the header is written twice.
    """

    def __init__(self, path: Path, dtype: DTypeLike, row: tuple[int, ...] = ()) -> None:
        self.dtype, self.row, self.rows = np.dtype(dtype), row, 0
        self._file = path.open("w+b")
        self._write_header()

    def append(self, array: NDArray[Any]) -> None:
        """Adds rows (n, *row)."""
        if array.shape[1:] != self.row:
            raise ValueError(f"expected rows of shape {self.row}, found {array.shape[1:]}")
        self._file.write(np.ascontiguousarray(array, self.dtype).data)
        self.rows += len(array)

    def close(self) -> None:
        """Writes the header again, with the number of rows."""
        if not self._file.closed:
            self._write_header()
            self._file.close()

    def _write_header(self) -> None:
        self._file.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (self.rows, *self.row)})

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ArrayReader:
    """Reads rows of a memory-mapped array with plain reads; a context that holds the open file.

    Mapped pages count as the process's own memory until they are given back; what a plain read leaves in the system's
    cache does not. Rows of an array in memory are copied.
    """

    def __init__(self, array: NDArray[Any] | Path) -> None:
        """Takes an array, or its file."""
        found = mapped(array) if isinstance(array, Path) else array
        self.rows, self.width = len(found), row_bytes(found)
        self._row, self._dtype = found.shape[1:], found.dtype
        self._held: NDArray[Any] | None = found
        self._file: Any = None
        if isinstance(found, np.memmap) and found.filename is not None:
            self._held, self.path, self._offset = None, found.filename, found.offset

    def __enter__(self) -> Self:
        if self._held is None:
            self._file = open(self.path, "rb", buffering=0)
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def buffer(self, rows: int) -> NDArray[Any]:
        """Room for `rows` rows."""
        return np.empty((rows, *self._row), self._dtype)

    def part(self, start: int, rows: int) -> NDArray[Any]:
        """At most `rows` rows (n, *row) from row `start` on; see `read`."""
        buffer = self.buffer(min(rows, self.rows - start))
        self.read(start, buffer)
        return buffer

    def parts(self, rows: int) -> Iterator[NDArray[Any]]:
        """All rows, at most `rows` at a time."""
        return (self.part(start, rows) for start in range(0, self.rows, rows))

    def read(self, start: int, buffer: NDArray[Any]) -> None:
        """Fills the buffer (n, *row) with the rows from row `start` on.

        Raises:
            UserError: the file ends before them.
        """
        if not self.width:
            return
        if self._held is not None:
            buffer[:] = self._held[start : start + len(buffer)]
            return
        self._file.seek(self._offset + start * self.width)
        rest = buffer.reshape(-1).view(np.uint8).data
        while len(rest):
            if not (got := self._file.readinto(rest)):
                raise UserError(f"{self.path}: expected {self.rows} rows, found fewer")
            rest = rest[got:]


def row_bytes(array: NDArray[Any]) -> int:
    """Bytes of one row of an array."""
    return array.dtype.itemsize * math.prod(array.shape[1:])
