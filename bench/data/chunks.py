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

from bench.core.errors import UserError
from bench.core.system.intrinsics import jit
from bench.data.arrays import read_into
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
        """With each tensor that it has changed."""
        return Batch(*(None if tensor is None else change(tensor) for tensor in self))  # type: ignore[arg-type]

    def taken(self, rows: Tensor | None, packing: Packing | None = None) -> Batch:
        """The given rows (n,), copied; without them all, sharing memory. `packing` is that of ids
        as stored.
        """
        if packing is None:
            return self if rows is None else self.map(lambda tensor: tensor.index_select(0, rows))
        ids = packing.unpacked(self.ids.numpy(), None if rows is None else rows.numpy())
        others = (
            each if each is None or rows is None else each.index_select(0, rows)
            for each in self[1:]
        )
        return Batch(torch.from_numpy(ids), *others)  # type: ignore[arg-type]


def arrays_of(split: StoredSplit, grouped: bool = False) -> Arrays:
    """The arrays that a batch's rows are in; those of their groups, too, if `grouped`."""
    group = split.group if grouped else None
    found = (
        split.stored_ids,
        split.dense,
        split.stored_labels,
        split.weights,
        group,
        split.stored_bounds,
    )
    return {
        name: array for name, array in zip(Batch._fields, found, strict=True) if array is not None
    }


def read(arrays: Arrays, starts: Sequence[int], rows: int) -> Arrays:
    """At most `rows` rows from each start on, one stretch after the other, by plain reads where
    arrays are mapped.

    Raises UserError if a file ends before them.
    """
    size = sum(min(rows, len(arrays["ids"]) - start) for start in starts)
    found = {
        name: np.empty((size, *array.shape[1:]), array.dtype) for name, array in arrays.items()
    }
    for name, array in arrays.items():
        for at, start in enumerate(starts):
            read_into(found[name][at * rows : (at + 1) * rows], array, start)
    return found


def batch_of(split: StoredSplit, arrays: Arrays, rows: Tensor | None = None) -> Batch:
    """The given rows (n,) of what was read of a split, copied; without `rows` all of them, sharing
    their memory.
    """
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    found = Batch(**tensors).taken(rows, split.packing)
    if split.columns is None:
        return found
    columns = list(split.columns)
    bounds = None if found.bounds is None else found.bounds[:, columns]
    return found._replace(labels=found.labels[:, columns], bounds=bounds)


LARGEST_WINDOW = 1 << 19
"""Rows. More would take more memory and mix hardly better."""
CHUNKS = 1024
"""Of a window, where its chunks do not become too small by it."""
SMALLEST_CHUNK = 64
"""Rows. Reading fewer at a time costs more than it mixes."""
SMALLEST_WINDOW = 16 * SMALLEST_CHUNK
AHEAD = 2
"""Batches that wait for the consumer."""
_HELD = 2 * (AHEAD + 3)
"""Batches at a time: waiting, being gathered, being used, and one in pieces between two windows.
Twice, because a batch's ids take up to twice the bytes that they take in the store."""
_ORDER = 16
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
        free = memory - _HELD * size * sample
        rows = min(LARGEST_WINDOW, max(0, free) // (2 * sample + _ORDER))
        if rows < SMALLEST_WINDOW:
            needed = cls(SMALLEST_WINDOW, SMALLEST_CHUNK).memory(sample, size)
            raise UserError(
                f"expected at least {-(-needed >> 20)} MiB of memory for samples of {sample} bytes "
                f"in batches of {size}, found {memory >> 20} MiB"
            )
        window = 1 << (
            rows.bit_length() - 1
        )  # a power of two: limits that are nearly alike give the same order
        return cls(window, max(SMALLEST_CHUNK, window // CHUNKS))

    def memory(self, sample: int, size: int) -> int:
        """Bytes that a pass takes: 2 windows and their batches, and the order of a window's
        rows.
        """
        return self.window * (2 * sample + _ORDER) + _HELD * size * sample

    def windows(self, rows: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
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
    windows = plan.windows(len(split), rng)
    tail: Batch | None = None
    arrays = arrays_of(split, grouped)
    with closing(
        ahead(read(arrays, (plan.chunk * chunks).tolist(), plan.chunk) for chunks in windows)
    ) as following:
        for window in following:
            rows = len(window["ids"])
            start = min(rows, size - (0 if tail is None else len(tail.labels)))
            mixed = (
                grouped_order(window["group"], size, rng, start)
                if grouped
                else rng.permutation(rows)
            )
            order = torch.from_numpy(mixed)
            head = batch_of(split, window, order[:start])
            if tail is not None:
                head = _joined(tail, head)
            tail = head
            while len(tail.labels) == size:
                yield tail
                tail = batch_of(split, window, order[start : start + size])
                start += size
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
) -> NDArray[np.int64]:
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
    of_row = np.asarray(group)[rows]
    by_group = np.argsort(of_row, kind="stable")
    rows, of_row = rows[by_group], of_row[by_group]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (of_row[1:] != of_row[:-1]) | (of_row[1:] < 0)
    begins = np.flatnonzero(new)
    within = np.arange(len(rows)) - np.repeat(begins, np.diff(begins, append=len(rows)))
    starts = np.flatnonzero(within % size == 0)  # a group larger than a batch is several
    many = np.diff(starts, append=len(rows))
    mixed = rng.permutation(len(starts))
    starts, many = _packed(starts[mixed], many[mixed], size, size if room is None else room)
    places = np.arange(len(rows)) + np.repeat(starts - np.cumsum(many) + many, many)
    found: NDArray[np.int64] = rows[places]
    return found


@jit()
def _packed(
    starts: NDArray[np.int64], many: NDArray[np.int64], size: int, room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Puts spans of rows into batches: first in the first with room; one that has waited longest is
    cut to fill up.
    """
    total = many.sum()
    found_starts = np.empty(len(starts) + total // size + 2, np.int64)  # at most one cut a batch
    found_many = np.empty_like(found_starts)
    waiting = np.empty(WAITING, np.int64)
    at, held, coming = 0, 0, 0
    if room == 0:
        room = size
    while coming < len(starts) or held:
        place = -1
        for k in range(held):
            if many[waiting[k]] <= room:
                place = k
                break
        if place < 0 and coming < len(starts) and held < WAITING:
            waiting[held] = coming
            held += 1
            coming += 1
            continue
        cut = place < 0
        place = max(place, 0)
        one = waiting[place]
        taken = min(room, many[one])
        found_starts[at], found_many[at] = starts[one], taken
        at += 1
        room -= taken
        if room == 0:
            room = size
        if cut:
            starts[one] += taken
            many[one] -= taken
        else:
            waiting[place : held - 1] = waiting[place + 1 : held].copy()
            held -= 1
    return found_starts[:at], found_many[:at]


def _joined(first: Batch, second: Batch) -> Batch:
    """The rows of two batches as one."""
    columns: list[Any] = []
    for one, following in zip(first, second, strict=True):
        if one is None or following is None:
            columns.append(None)
        else:
            columns.append(torch.cat((one, following)))
    return Batch(*columns)
