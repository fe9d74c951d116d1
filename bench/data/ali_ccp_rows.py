"""Ali-CCP's second pass: common lines are encoded first; then each row is its own columns beside its common line's."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.append import ArrayWriter
from bench.data.encoding import Encoder
from bench.data.encoding.fields import PAD
from bench.data.encoding.numeric import NumericColumn
from bench.data.readers.ali_ccp import Side
from bench.data.readers.ali_ccp_common import CommonLines
from bench.data.spill import Spill
from bench.progress import Progress

RELEASE = 1 << 20
"""Rows after which mapped pages of the common lines are given back."""


class _Places(NamedTuple):
    """Where the inputs of one side are: in its codes and numbers, and in the rows of the store."""

    ids: list[tuple[str, slice, slice]]
    dense: list[tuple[NumericColumn, int, slice]]


class RowEncoder:
    """Turns what was kept of rows and of common lines into arrays."""

    def __init__(
        self, encoder: Encoder, local: Mapping[str, NDArray[np.int32]], common: CommonLines, skeleton: Side
    ) -> None:
        """Takes the encoder apart.

        Args:
            local: input -> local id of each code, then of UNKNOWN and ABSENT.
        """
        schema = encoder.schema_of(())
        self.encoder, self.local, self.common = encoder, local, common
        self.widths = schema.slots, len(schema.dense)
        self.offset = {field.name: at for field, at in zip(schema.fields, schema.offsets, strict=True)}
        self.of_common, self.of_row = self._places(common.coder.side), self._places(skeleton)

    def _places(self, side: Side) -> _Places:
        schema, dense = self.encoder.schema_of(()), list[tuple[NumericColumn, int, slice]]()
        slots = np.cumsum([0, *(field.slots for field in schema.fields)]).tolist()
        slot = {field.name: slice(slots[i], slots[i + 1]) for i, field in enumerate(schema.fields)}
        column = 0
        for part in self.encoder.dense:
            assert isinstance(part, NumericColumn)
            if part.name in side.sums:
                dense.append((part, side.sums[part.name], slice(column, column + len(part.names))))
            column += len(part.names)
        return _Places([(name, at, slot[name]) for name, at in side.ids.items()], dense)

    def _fill(
        self, places: _Places, codes: NDArray[np.int32], numbers: NDArray[np.float64], ids: Any, dense: Any
    ) -> None:
        """Writes what one side holds into its columns of ids (n, S) and dense (n, D)."""
        for name, at, slot in places.ids:
            local = self.local[name][codes[:, at]]
            ids[:, slot] = np.where(local == PAD, 0, local + self.offset[name])
        for part, number, column in places.dense:
            dense[:, column] = part.encode_numbers(numbers[:, number])

    def encode(self, spills: Sequence[Spill], folder: Path, progress: Progress, key: str) -> None:
        """Writes `ids.npy` and `dense.npy` of each split; `folder` is for the common lines in the meantime."""
        shared = self._encode_common(folder)
        total = sum(spill.counts.rows for spill in spills)
        with progress.task(f"encoding {key}", total, "rows") as advance:
            for spill in spills:
                with (
                    ArrayWriter(spill.folder / "ids.npy", np.int32, (self.widths[0],)) as ids_out,
                    ArrayWriter(spill.folder / "dense.npy", np.float32, (self.widths[1],)) as dense_out,
                ):
                    for _, kept in spill.chunks():
                        ids, dense = (mapped.take(kept.group) for mapped in shared)
                        self._fill(self.of_row, kept.codes, kept.numbers, ids, dense)
                        ids_out.append(ids)
                        dense_out.append(dense)
                        advance(len(ids))
        for mapped in shared:
            mapped.remove()

    def _encode_common(self, folder: Path) -> tuple[_Mapped, _Mapped]:
        """Ids and dense of each common line, 0 in the columns that are the rows' own."""
        paths = folder / "common_ids.npy", folder / "common_dense.npy"
        with (
            ArrayWriter(paths[0], np.int32, (self.widths[0],)) as ids_out,
            ArrayWriter(paths[1], np.float32, (self.widths[1],)) as dense_out,
        ):
            for _, codes, numbers in self.common.chunks():
                ids = np.zeros((len(codes), self.widths[0]), np.int32)
                dense = np.zeros((len(codes), self.widths[1]), np.float32)
                self._fill(self.of_common, codes, numbers, ids, dense)
                ids_out.append(ids)
                dense_out.append(dense)
        self.common.remove()
        return _Mapped(paths[0]), _Mapped(paths[1])


class _Mapped:
    """Rows of a `.npy` file, looked up; the pages that were touched are given back as it goes."""

    def __init__(self, path: Path) -> None:
        self.path, self.touched = path, 0
        self.array = np.load(path, mmap_mode="r")

    def take(self, rows: NDArray[np.int32]) -> NDArray[Any]:
        """Their copies."""
        found: NDArray[Any] = self.array[rows]
        self.touched += len(rows)
        pages = getattr(self.array, "_mmap", None)
        if self.touched >= RELEASE and pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)
            self.touched = 0
        return found

    def remove(self) -> None:
        """Removes the file."""
        del self.array
        self.path.unlink()
