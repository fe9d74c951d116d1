"""The device of a training, and the transfer of a split's rows to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import UserError
from bench.core.system.machine import check_device_name, worker_number
from bench.data.batches import Batch, Batches, shuffled_order
from bench.data.chunks import arrays_of
from bench.data.npy_files import row_bytes
from bench.data.store import StoredSplit

SHARE = 0.5  # of the free memory for resident splits; activations and snapshots need the rest


def choose_device(name: str) -> torch.device:
    """Returns the device of a name; `auto` is CUDA if available. Raises UserError for one unknown
    or unavailable.

    Worker w uses device w modulo their number, among those in `$CUDA_VISIBLE_DEVICES`. Ray gives
    each worker its own devices in that variable, and no number.
    """
    check_device_name(name)
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise UserError(
            "device: expected a CUDA device that torch can use, found none; use 'cpu' or 'auto'"
        )
    if name == "cpu" or not has_cuda:
        return torch.device("cpu")
    return torch.device("cuda", worker_number() % torch.cuda.device_count())


class ResidentFeed:
    """A split in the device's memory: batches are gathered there, without waiting for the host."""

    def __init__(
        self,
        split: StoredSplit,
        device: torch.device,
        grouped: bool = False,
    ) -> None:
        self._split = split
        self._grouped = grouped
        self.rows = len(split)
        self.device = device
        self.whole = Batch(
            self._copy(split.ids),
            self._copy(split.dense),
            self._copy(split.labels),
            None if split.weights is None else self._copy(split.weights),
            self._copy(split.group) if grouped else None,
            None if split.bounds is None else self._copy(split.bounds),
        )

    def _copy(self, array: NDArray[Any]) -> Tensor:
        """Read-only maps are copied first: they cannot be a tensor's memory."""
        return torch.from_numpy(np.require(array, requirements="W")).to(self.device)

    def in_order(self, size: int) -> Iterator[Batch]:
        """See `Batches.in_order`; the batches are views."""
        for start in range(0, self.rows, size):
            part = slice(start, start + size)
            yield self.whole.map(lambda tensor, part=part: tensor[part])  # type: ignore[misc]

    def shuffled(self, size: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """See `Batches.shuffled`; the order is drawn on the host, once a pass, so it is the same on
        every device.
        """
        size = min(size, self.rows)
        if not size:
            return
        order = shuffled_order(self._split, size, seed, self._grouped).to(self.device)
        for first in range(start * size, self.rows - size + 1, size):
            yield self.whole.taken(order[first : first + size])

    def steps(self, size: int) -> int:
        """See `Batches.steps`."""
        if not self.rows:
            return 0
        return max(1, self.rows // size)


class CopyingFeed:
    """A split on the host: each batch is copied while the device works on the previous one."""

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self.batches, self.device = batches, device

    def in_order(self, size: int) -> Iterator[Batch]:
        """See `Batches.in_order`."""
        return self._ahead(self.batches.in_order(size))

    def shuffled(self, size: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """See `Batches.shuffled`."""
        return self._ahead(self.batches.shuffled(size, seed, start))

    def steps(self, size: int) -> int:
        """See `Batches.steps`."""
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
        """Starts an asynchronous copy, which needs pinned memory; torch keeps that memory until the
        copy ends.
        """
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


Feed = Batches | ResidentFeed | CopyingFeed
"""Provides the batches of one split, on the device."""


def feed(split: StoredSplit, device: torch.device, grouped: bool = False) -> Feed:
    """Batches of a split on a device, optionally of whole groups: resident if they fit, else copied
    one by one.
    """
    if device.type == "cpu":
        return Batches(split, grouped=grouped)
    free, _ = torch.cuda.mem_get_info(device)
    if fits(split, free, grouped):
        return ResidentFeed(split, device, grouped)
    return CopyingFeed(Batches(split, grouped=grouped), device)


def fits(split: StoredSplit, free: int, grouped: bool = False) -> bool:
    """Whether a split, and the order of its rows, fit into `free` bytes."""
    arrays = arrays_of(split, grouped) | {"ids": split.ids_of(slice(0))}  # ids in 32 bits
    bytes_of_row = sum(map(row_bytes, arrays.values())) + 8
    return len(split) * bytes_of_row <= SHARE * free
