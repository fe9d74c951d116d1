"""The device of a training, and the transfer of a split's rows to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench.data.arrays import row_bytes
from bench.data.batches import Batch, Batches, shuffled_order
from bench.data.chunks import arrays_of
from bench.data.store import Split
from bench.errors import UserError
from bench.machine import check_device_name, worker_number

SHARE = 0.5  # of the free memory that resident splits may take; activations and snapshots need the rest


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA where it is available.

    Worker w takes device w modulo their number, of those that `$CUDA_VISIBLE_DEVICES` lets this process see. Ray gives
    each of its workers devices of its own in that variable, and no number.

    Raises:
        UserError: an unknown name, or CUDA is asked for and not there.
    """
    check_device_name(name)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UserError("device: expected a CUDA device that torch can use, found none; use 'cpu' or 'auto'")
    if name == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", worker_number() % torch.cuda.device_count())


class Feed(Protocol):
    """Gives the batches of one split, on the device; see `bench.data.batches.Batches`."""

    def in_order(self, size: int) -> Iterator[Batch]:
        """The whole split, in order."""
        ...

    def shuffled(self, size: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Whole batches in an order that depends on the seed alone, from batch `start` on."""
        ...

    def steps(self, size: int) -> int:
        """Batches in one `shuffled` pass."""
        ...


class ResidentFeed:
    """A split that lies on the device as a whole: batches are gathered there, without waiting for the host."""

    def __init__(self, split: Split, device: torch.device, grouped: bool = False) -> None:
        self._split, self._grouped = split, grouped
        # A copy of read-only maps first: they cannot be a tensor's memory.
        arrays = (split.ids, split.dense, split.labels, split.weights, split.group if grouped else None, split.bounds)
        own = (None if array is None else np.require(array, requirements="W") for array in arrays)
        self.whole = Batch(*(None if array is None else torch.from_numpy(array).to(device) for array in own))  # type: ignore[arg-type]
        self.rows, self.device = len(split), device

    def in_order(self, size: int) -> Iterator[Batch]:
        """See `Feed`; the batches are views."""
        for start in range(0, self.rows, size):
            part = slice(start, start + size)
            yield self.whole.map(lambda tensor, part=part: tensor[part])  # type: ignore[misc]

    def shuffled(self, size: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """See `Feed`. The order is drawn on the host, once a pass, so that it is the same on every device."""
        size = min(size, self.rows)
        order = shuffled_order(self._split, size, seed, self._grouped).to(self.device) if size else torch.empty(0)
        for first in range(start * size, self.rows - size + 1, size):
            rows = order[first : first + size]
            yield self.whole.taken(rows)

    def steps(self, size: int) -> int:
        """See `Feed`."""
        return max(1, self.rows // size) if self.rows else 0


class CopyingFeed:
    """A split that stays on the host: each batch is copied while the device works on the one before it."""

    def __init__(self, batches: Feed, device: torch.device) -> None:
        self.batches, self.device = batches, device

    def in_order(self, size: int) -> Iterator[Batch]:
        """See `Feed`."""
        return self._ahead(self.batches.in_order(size))

    def shuffled(self, size: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """See `Feed`."""
        return self._ahead(self.batches.shuffled(size, seed, start))

    def steps(self, size: int) -> int:
        """See `Feed`."""
        return self.batches.steps(size)

    def _ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        waiting: Batch | None = None
        for batch in batches:
            coming = batch.map(self._copy)
            if waiting is not None:
                yield waiting
            waiting = coming
        if waiting is not None:
            yield waiting

    def _copy(self, tensor: Tensor) -> Tensor:
        """Begins a copy. Only from pinned memory does it go on beside the host's work; torch keeps that until then."""
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


def feed(split: Split, device: torch.device, grouped: bool = False) -> Feed:
    """Batches of a split on a device, of whole groups if asked: resident where they fit, else copied one by one."""
    if device.type == "cpu":
        return Batches(split, grouped=grouped)
    free, _ = torch.cuda.mem_get_info(device)
    if fits(split, free, grouped):
        return ResidentFeed(split, device, grouped)
    return CopyingFeed(Batches(split, grouped=grouped), device)


def fits(split: Split, free: int, grouped: bool = False) -> bool:
    """Whether a split, and the order of its rows, may lie in that many free bytes."""
    arrays = arrays_of(split, grouped) | {"ids": split.ids_of(slice(0))}  # in 32 bits
    return len(split) * (sum(map(row_bytes, arrays.values())) + 8) <= SHARE * free
