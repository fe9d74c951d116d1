"""Chunk-shuffled reading: shuffled batches of a split that is larger than memory.

The rows are cut into chunks of consecutive rows and the chunks, in file order, into strata of K
neighbours. A pass has K windows; each window gets one chunk of every stratum, drawn without
replacement, so every window is a stratified sample of the whole file (Cochran, Sampling Techniques,
1977, chapter 5: for data in an order its mean varies far less than that of as many chunks drawn
freely). A window's chunks are read in file order, its rows are shuffled and cut into batches; while
its batches are gathered, a thread reads the next window.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.arrays import Ints
from bench.core.errors import UserError
from bench.core.system.intrinsics import jit
from bench.data.npy_files import read_into
from bench.data.packing import Packing
from bench.data.prefetch import ahead
from bench.data.store import StoredSplit

Arrays = dict[str, NDArray[Any]]
"""By the names of `Batch`, as stored: ids in their words, labels and bounds of all tasks."""


class Batch(NamedTuple):
    """Rows of a split.

    ids (B, S) int32, dense (B, D) float32, labels (B, T) float32; if any, weights (B, 1 or 2)
    float32; where a loss compares rows, group (B,) int32; where a regression is censored, bounds
    (B, T) float32.
    """

    ids: Tensor
    dense: Tensor
    labels: Tensor
    weights: Tensor | None = None
    group: Tensor | None = None
    bounds: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Applies a function to each tensor."""
        tensors: dict[str, Tensor | None] = self._asdict()
        changed = {name: change(tensor) for name, tensor in tensors.items() if tensor is not None}
        return Batch(**changed)

    def taken(self, rows: Tensor | None, packing: Packing | None = None) -> Batch:
        """The given rows (n,), copied; without them all, sharing memory. `packing` is that of ids
        as stored.
        """
        if packing is None:
            return self if rows is None else self.map(lambda tensor: tensor.index_select(0, rows))
        ids = packing.unpacked(self.ids.numpy(), None if rows is None else rows.numpy())
        others = [_taken(tensor, rows) for tensor in self[1:]]
        return Batch(torch.from_numpy(ids), *others)  # type: ignore[arg-type]

    def followed_by(self, batch: Batch) -> Batch:
        """The rows of both, one after the other."""
        joined = {}
        for name, first, second in zip(self._fields, self, batch, strict=True):
            if first is not None and second is not None:
                joined[name] = torch.cat((first, second))
        return Batch(**joined)


def _taken(tensor: Tensor | None, rows: Tensor | None) -> Tensor | None:
    if tensor is None or rows is None:
        return tensor
    return tensor.index_select(0, rows)


def arrays_of(split: StoredSplit, grouped: bool = False) -> Arrays:
    """The arrays that a batch's rows are in; those of their groups, too, if `grouped`."""
    arrays = {
        "ids": split.stored_ids,
        "dense": split.dense,
        "labels": split.stored_labels,
        "weights": split.weights,
        "group": split.group if grouped else None,
        "bounds": split.stored_bounds,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def read(arrays: Arrays, starts: Sequence[int], rows: int) -> Arrays:
    """At most `rows` rows from each start on, one stretch after the other, by plain reads where
    arrays are mapped.

    Raises UserError if a file ends before them.
    """
    size = sum(min(rows, len(arrays["ids"]) - start) for start in starts)
    buffers = {}
    for name, array in arrays.items():
        buffer = np.empty((size, *array.shape[1:]), array.dtype)
        for number, start in enumerate(starts):
            read_into(buffer[number * rows : (number + 1) * rows], array, start)
        buffers[name] = buffer
    return buffers


def batch_of(split: StoredSplit, arrays: Arrays, rows: Tensor | None = None) -> Batch:
    """The given rows (n,) of what was read of a split, copied; without `rows` all of them, sharing
    their memory.
    """
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    batch = Batch(**tensors).taken(rows, split.packing)
    if split.columns is None:
        return batch
    columns = list(split.columns)
    bounds = None if batch.bounds is None else batch.bounds[:, columns]
    return batch._replace(labels=batch.labels[:, columns], bounds=bounds)


LARGEST_WINDOW = 1 << 19
"""Rows. More would take more memory and mix hardly better."""
CHUNKS = 1024
"""Of a window, where its chunks do not become too small by it."""
SMALLEST_CHUNK = 64
"""Rows. Reading fewer at a time costs more than it mixes."""
SMALLEST_WINDOW = 16 * SMALLEST_CHUNK
AHEAD = 2
"""Batches that wait for the consumer."""
_IN_MEMORY = 2 * (AHEAD + 3)
"""Batches in memory at a time: waiting, being gathered, being used, and one in pieces between two
windows. Twice, because a batch's ids take up to twice the bytes that they take in the store."""
_ORDER_BYTES = 16
"""Bytes of a row's place in the order of its window, while the next window's is made."""


@dataclass(frozen=True)
class PassPlan:
    """How a pass is read: `window` rows are mixed, taken from the file in chunks of `chunk`
    rows.
    """

    window: int
    chunk: int

    @classmethod
    def within(cls, memory: int, sample: int, size: int) -> PassPlan:
        """The plan for `memory` bytes: two windows (one in use, one being read), their order and
        the batches held.

        A sample has `sample` bytes, a batch `size` samples. Raises UserError where not even the
        smallest window fits.
        """
        free = memory - _IN_MEMORY * size * sample
        rows = min(LARGEST_WINDOW, max(0, free) // (2 * sample + _ORDER_BYTES))
        if rows < SMALLEST_WINDOW:
            needed = cls(SMALLEST_WINDOW, SMALLEST_CHUNK).memory(sample, size)
            raise UserError(
                f"expected at least {-(-needed >> 20)} MiB of memory for samples of {sample} bytes "
                f"in batches of {size}, found {memory >> 20} MiB"
            )
        # A power of two: limits that are nearly alike give the same order.
        window = 1 << (rows.bit_length() - 1)
        return cls(window, max(SMALLEST_CHUNK, window // CHUNKS))

    def memory(self, sample: int, size: int) -> int:
        """Bytes that a pass takes: 2 windows and their batches, and the order of a window's
        rows.
        """
        return self.window * (2 * sample + _ORDER_BYTES) + _IN_MEMORY * size * sample

    def windows(self, rows: int, rng: np.random.Generator) -> list[Ints]:
        """For each window of a pass over `rows` rows, the numbers of its chunks, ascending."""
        chunks = -(-rows // self.chunk)
        count = -(-chunks // (self.window // self.chunk))
        strata = np.tile(np.arange(count), (-(-chunks // count), 1))
        window_of = rng.permuted(strata, axis=1).reshape(-1)[:chunks]
        return [np.flatnonzero(window_of == k) for k in range(count)]


def shuffled_by_chunk(
    split: StoredSplit, plan: PassPlan, size: int, seed: int, grouped: bool = False
) -> Generator[Batch]:
    """Batches of exactly `size` rows; every row once, except those left over below one batch.

    The order depends on seed, plan and size alone. Where `grouped`, rows of a group that lie in one
    window come together, see `grouped_order`.
    """
    rng = np.random.default_rng(seed)
    arrays = arrays_of(split, grouped)
    chunks_of_windows = plan.windows(len(split), rng)
    reading = (
        read(arrays, (plan.chunk * chunks).tolist(), plan.chunk) for chunks in chunks_of_windows
    )
    batch: Batch | None = None  # what the windows so far have left over
    with closing(ahead(reading)) as windows:
        for window in windows:
            rows = len(window["ids"])
            missing_rows = size if batch is None else size - len(batch.labels)
            end = min(rows, missing_rows)
            if grouped:
                mixed = grouped_order(window["group"], size, rng, end)
            else:
                mixed = rng.permutation(rows)
            order = torch.from_numpy(mixed)
            head = batch_of(split, window, order[:end])
            batch = head if batch is None else batch.followed_by(head)
            while len(batch.labels) == size:
                yield batch
                batch = batch_of(split, window, order[end : end + size])
                end += size
            del window  # before the one after the next is read


def in_file_order(split: StoredSplit, size: int, grouped: bool = False) -> Generator[Batch]:
    """Batches of `size` rows as they lie in the files; the last one may be smaller."""
    arrays = arrays_of(split, grouped)
    for start in range(0, len(split), size):
        yield batch_of(split, read(arrays, [start], size))


WAITING = 64
"""Groups that wait for a batch with enough room before one is cut."""


def grouped_order(
    group: NDArray[Any], size: int, rng: np.random.Generator, room: int | None = None
) -> Ints:
    """An order of rows (N,) that keeps groups whole, for losses that compare a group's rows in
    batches of `size` rows.

    Groups come in random order, and a group's rows in random order one behind the other; `rng`
    alone decides. Batches have exactly the size that they have without groups. A batch whose rest
    no group fits, of those that come next, is filled with a part of one; so at most one group a
    batch is cut, beside those that are larger than a batch.

    Rows of a group are alike, so a batch holds less that differs. The variance of a batch's mean is
    larger by the factor 1 + (m - 1) r, for groups of m rows that correlate by r (Kish, Survey
    Sampling, 1965).

    Args:
        group: (N,), negative for a row without group, which stands alone.
        room: rows of the first batch; None for `size`.
    """
    rows = rng.permutation(len(group))
    group = np.asarray(group)[rows]
    by_group = np.argsort(group, kind="stable")
    rows, group = rows[by_group], group[by_group]

    place = np.arange(len(rows))
    starts_group = group < 0
    starts_group[:1] = True
    starts_group[1:] |= group[1:] != group[:-1]
    group_start = np.maximum.accumulate(np.where(starts_group, place, 0))
    # A group larger than a batch is several.
    starts = np.flatnonzero((place - group_start) % size == 0)
    lengths = np.diff(starts, append=len(rows))

    mixed = rng.permutation(len(starts))
    first_room = size if room is None else room
    starts, lengths = _packed(starts[mixed], lengths[mixed], size, first_room)
    ends = np.cumsum(lengths)
    order: Ints = rows[place + np.repeat(starts - ends + lengths, lengths)]
    return order


@jit()
def _packed(starts: Ints, lengths: Ints, size: int, room: int) -> tuple[Ints, Ints]:
    """Puts spans of rows into batches: first in the first with room; one that has waited longest is
    cut to fill up.
    """
    most_spans = len(starts) + lengths.sum() // size + 2  # at most one cut a batch
    packed_starts = np.empty(most_spans, np.int64)
    packed_lengths = np.empty_like(packed_starts)
    waiting = np.empty(WAITING, np.int64)
    packed, waiting_count, coming = 0, 0, 0
    if room == 0:
        room = size
    while coming < len(starts) or waiting_count:
        fitting = -1
        for k in range(waiting_count):
            if lengths[waiting[k]] <= room:
                fitting = k
                break
        if fitting < 0 and coming < len(starts) and waiting_count < WAITING:
            waiting[waiting_count] = coming
            waiting_count += 1
            coming += 1
            continue

        place = max(fitting, 0)
        span = waiting[place]
        length = min(room, lengths[span])
        packed_starts[packed] = starts[span]
        packed_lengths[packed] = length
        packed += 1
        room -= length
        if room == 0:
            room = size
        if fitting < 0:  # cut
            starts[span] += length
            lengths[span] -= length
        else:
            waiting[place : waiting_count - 1] = waiting[place + 1 : waiting_count].copy()
            waiting_count -= 1
    return packed_starts[:packed], packed_lengths[:packed]
