"""`.npy` files written row by row: what `numpy.save` would give, without holding the array."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


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
        """Writes the header anew, with the number of rows."""
        if not self._file.closed:
            self._write_header()
            self._file.close()

    def _write_header(self) -> None:
        self._file.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (self.rows, *self.row)})

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
