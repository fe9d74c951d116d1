"""Rows of a split read from its files into buffers, so that no page of the files stays mapped."""

from __future__ import annotations

import math
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.store import Split
from bench.errors import UserError

Buffers = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""ids (n, S) int32, dense (n, D) float32 and the stored labels of all tasks (n, all T) float32."""


class Batch(NamedTuple):
    """Rows of a split: ids (B, S) int32, dense (B, D) float32, labels (B, T) float32."""

    ids: Tensor
    dense: Tensor
    labels: Tensor


class ArrayReader:
    """Reads rows of a memory-mapped array with plain reads; a context that holds the open file.

    Mapped pages count as the process's own memory until they are given back; what a plain read leaves in the system's
    cache does not.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        if not isinstance(array, np.memmap) or array.filename is None:
            raise TypeError(f"expected an array mapped from a file, found {type(array).__name__}")
        self.path, self.rows, self.width = array.filename, len(array), row_bytes(array)
        self._offset, self._row, self._dtype = array.offset, array.shape[1:], array.dtype

    def __enter__(self) -> Self:
        self._file = open(self.path, "rb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def buffer(self, rows: int) -> NDArray[Any]:
        """Room for so many rows."""
        return np.empty((rows, *self._row), self._dtype)

    def read(self, start: int, buffer: NDArray[Any]) -> None:
        """Fills the buffer (n, *row) with the rows from row `start` on.

        Raises:
            UserError: the file ends before them.
        """
        if not self.width:
            return
        self._file.seek(self._offset + start * self.width)
        rest = buffer.reshape(-1).view(np.uint8).data
        while len(rest):
            if not (got := self._file.readinto(rest)):
                raise UserError(f"{self.path}: expected {self.rows} rows, found fewer")
            rest = rest[got:]


class RowReader:
    """Reads rows of a memory-mapped split; a context that holds the open files.

    Attributes:
        rows: of the split.
    """

    def __init__(self, split: Split) -> None:
        self.rows = len(split)
        self._columns = None if split.columns is None else list(split.columns)
        self._arrays = tuple(map(ArrayReader, (split.ids, split.dense, split.stored_labels)))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for array in self._arrays:
            self._stack.enter_context(array)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def buffers(self, rows: int) -> Buffers:
        """Room for so many rows."""
        ids, dense, labels = (array.buffer(rows) for array in self._arrays)
        return ids, dense, labels

    def read(self, start: int, rows: int, buffers: Buffers, at: int) -> None:
        """Reads the `rows` rows from row `start` on into the buffers' rows from `at` on.

        Raises:
            UserError: a file ends before them.
        """
        for array, buffer in zip(self._arrays, buffers, strict=True):
            array.read(start, buffer[at : at + rows])

    def batch(self, buffers: Buffers, rows: Tensor | None = None) -> Batch:
        """The given rows (n,) of the buffers, copied; without `rows` all of them, sharing their memory."""
        ids, dense, labels = map(torch.from_numpy, buffers)
        if rows is not None:
            ids, dense, labels = (tensor.index_select(0, rows) for tensor in (ids, dense, labels))
        return Batch(ids, dense, labels if self._columns is None else labels[:, self._columns])


def row_bytes(array: NDArray[Any]) -> int:
    """Bytes of one row of an array."""
    return array.dtype.itemsize * math.prod(array.shape[1:])
