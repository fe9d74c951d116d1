"""`.npy` files written and read row by row, without holding or mapping the array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bench.core.errors import UserError


class ArrayWriter:
    """Appends rows to a `.npy` file of shape (N, *row); N is known at the end.

    numpy pads a header so that a growing first axis fits into the same bytes; the header is written
    twice.
    """

    def __init__(self, path: Path, dtype: DTypeLike, row: tuple[int, ...] = ()) -> None:
        self.dtype, self.row, self.rows = np.dtype(dtype), row, 0
        self._file = path.open("w+b")
        self._write_header()

    def append(self, array: NDArray[Any]) -> None:
        """Adds rows (n, *row)."""
        self._file.write(np.ascontiguousarray(array, self.dtype).data)
        self.rows += len(array)

    def _write_header(self) -> None:
        self._file.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(
            self._file, {**header, "shape": (self.rows, *self.row)}
        )

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._write_header()  # again, with the number of rows
        self._file.close()


def read_into(buffer: NDArray[Any], array: NDArray[Any], start: int) -> None:
    """Fills a buffer (n, *row) with the rows of an array (N, *row) from row `start` on, by plain
    reads if it is mapped.

    Mapped pages count as the process's own memory until they are given back; what a plain read
    leaves in the system's cache does not. Raises UserError if the file ends before them.
    """
    if not isinstance(array, np.memmap) or array.filename is None or not buffer.size:
        buffer[:] = array[start : start + len(buffer)]
        return
    with open(array.filename, "rb") as file:
        file.seek(array.offset + start * row_bytes(array))
        if file.readinto(buffer.reshape(-1).view(np.uint8).data) < buffer.nbytes:
            raise UserError(f"{array.filename}: expected {len(array)} rows, found fewer")


def read_rows(array: NDArray[Any], start: int, rows: int) -> NDArray[Any]:
    """At most `rows` rows (n, *row) from row `start` on; see `read_into`."""
    rows = min(rows, len(array) - start)
    buffer = np.empty((rows, *array.shape[1:]), array.dtype)
    read_into(buffer, array, start)
    return buffer


def read_parts(array: NDArray[Any], rows: int) -> Iterator[NDArray[Any]]:
    """All rows of an array, at most `rows` at a time; see `read_into`."""
    return (read_rows(array, start, rows) for start in range(0, len(array), rows))


def row_bytes(array: NDArray[Any]) -> int:
    """Bytes of one row of an array."""
    return array.dtype.itemsize * math.prod(array.shape[1:])
