"""One fused embedding table for all fields, and the pooling of fields with several slots."""

from __future__ import annotations

import itertools
import mmap
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.schema import Schema
from bench.models.compiling import array, in_parts
from bench.models.contracts import BySets, generator
from bench.models.fused import fits
from bench.models.kernels import look_up
from bench.models.sequence.histories import shares

INITIAL_STD = 0.01
_LARGE = 32 << 20  # bytes
_BLOCK = 4096  # rows drawn at a time, column by column, small enough for the cache


class FusedEmbedding(nn.Module):
    """A row for every id of every field (see `Schema` for the numbering of rows).

    Args:
        sets: I, number of embeddings of each id, side by side in a row.
        seed: each column is drawn by a generator of its own, so that tables with the same seed
            agree in their common coordinates and sets.

    Attributes:
        weight: (rows, I dim), drawn from N(0, INITIAL_STD^2); row 0, the padding, is zero and gets
            no gradient.
    """

    def __init__(self, rows: int, dim: int, sets: int = 1, seed: int = 0) -> None:
        super().__init__()
        weight = new_table(rows, sets * dim, torch.get_default_device())
        if not weight.is_meta:
            columns = itertools.product(range(sets), range(dim))
            _draw(weight, [generator(seed, "embedding", *column) for column in columns])
        weight[0] = 0
        self.weight = nn.Parameter(weight)

    def forward(self, ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """ids (B, S) int32 or int64 -> (B, S, I dim), stored as `dtype`, the table's by default."""
        dtype = self.weight.dtype if dtype is None else dtype
        if torch.is_grad_enabled() or not fits(self.weight):
            rows = F.embedding(ids, self.weight, padding_idx=0)
            return rows if dtype == rows.dtype else rows.to(dtype)  # an exported graph has no cast
        e = self.weight.new_empty(*ids.shape, self.weight.shape[1], dtype=dtype)
        arrays = (array(self.weight), array(ids.reshape(-1)), array(e.view(-1, e.shape[-1])))
        in_parts(look_up, ids.numel(), e.numel(), *arrays)
        return e


def _draw(weight: Tensor, generators: Sequence[torch.Generator]) -> None:
    """Draws each column of a table (rows, columns) from its generator."""
    rows, columns = weight.shape
    drawn = torch.empty(columns, min(rows, _BLOCK))
    for start in range(0, rows, _BLOCK):
        block = weight[start : start + _BLOCK]
        for column, source in zip(drawn, generators, strict=True):
            column[: len(block)].normal_(std=INITIAL_STD, generator=source)
        block.copy_(drawn[:, : len(block)].t())


def new_table(rows: int, columns: int, device: torch.device) -> Tensor:
    """Zeros (rows, columns); large ones on Linux in huge pages (2 MiB), if the system has them.

    In pages of 4 KiB, each access to a row also waits for a walk through the page table.
    """
    size = rows * columns * 4
    if sys.platform != "linux" or device.type != "cpu" or size < _LARGE:
        return torch.zeros(rows, columns, device=device)
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # no huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.float32).view(rows, columns)


class FieldPooling(nn.Module):
    """One vector for each field: a single slot unchanged, several slots as the mean without
    padding.

    Args:
        sequence: makes the module that pools a history of n slots in place of the mean, see
            `bench.models.sequence`.

    Attributes:
        histories: the module of each history, in order.
        pools: whether any field has several slots.
    """

    def __init__(
        self, schema: Schema, sequence: Callable[[int], BySets] | None = None, sets: int = 1
    ) -> None:
        super().__init__()
        self.sets, self.histories = sets, nn.ModuleList()
        runs: list[_Run] = []
        first_slots: dict[str, int] = {}
        start = 0
        for field in schema.fields:
            first_slots[field.name] = start
            end = start + field.slots
            if sequence is not None and field.of is not None:
                runs.append(_Run(start, end, True, first_slots[field.of], len(self.histories)))
                self.histories.append(sequence(field.slots))
            elif field.slots == 1 and runs and not runs[-1].pooled:
                runs[-1] = runs[-1]._replace(end=end)
            else:
                runs.append(_Run(start, end, pooled=field.slots > 1))
            start = end
        self.runs = tuple(runs)
        self.pools = any(run.pooled for run in runs)

    def forward(self, e: Tensor, ids: Tensor) -> Tensor:
        """e (B, S, W), ids (B, S) -> (B, F, W); zero where all slots of a field are padding."""
        if not self.pools:
            return e
        return torch.cat([self._vectors(e, ids, run) for run in self.runs], 1)

    def unpooled(self, e: Tensor, ids: Tensor) -> list[Tensor]:
        """Arguments of `forward` -> the values (B, L, W) of each history, and where there are some
        (B, L), one after another.
        """
        tensors = []
        for run in self.runs:
            if run.target is not None:
                tensors.append(e[:, run.start : run.end])
                tensors.append(ids[:, run.start : run.end] != 0)
        return tensors

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters on which the losses of all tasks depend."""
        for history in self.histories:
            yield from cast(BySets, history).shared_parameters()

    def _vectors(self, e: Tensor, ids: Tensor, run: _Run) -> Tensor:
        """The vectors (B, n, W) of a run's n fields."""
        values = e[:, run.start : run.end]
        if not run.pooled:
            return values
        there = ids[:, run.start : run.end] != 0
        if run.target is None:
            return torch.bmm(shares(there, e.dtype).unsqueeze(1), values)
        x = torch.cat([e[:, run.target : run.target + 1], values], dim=1)
        x = x.view(*x.shape[:2], self.sets, x.shape[2] // self.sets).permute(2, 0, 1, 3)
        y: Tensor = self.histories[run.history](x, there)
        return y.permute(1, 0, 2).flatten(1).unsqueeze(1)


class _Run(NamedTuple):
    """Consecutive slots: single ones, or those of one pooled field.

    Attributes:
        start, end: the first slot, and the one after the last.
        target: of a history, the slot of the row's own value.
        history: its index.
    """

    start: int
    end: int
    pooled: bool
    target: int | None = None
    history: int = 0


class InputSets(nn.Module):
    """Splits pooled fields by input set: a row of the table has I = `sets` embeddings of width
    `dim` side by side.
    """

    def __init__(self, sets: int, dim: int) -> None:
        super().__init__()
        self.sets, self.dim = sets, dim

    def forward(self, x: Tensor) -> Tensor:
        """x (B, F, I dim) -> (I, B, F dim)."""
        batch, fields, _ = x.shape
        by_set = x.reshape(batch, fields, self.sets, self.dim).permute(2, 0, 1, 3)
        return by_set.flatten(2)  # a view where I is 1


class FieldPlace(NamedTuple):
    """Where a field with one slot stands: its slot, and its first row in the table."""

    slot: int
    first_row: int
    cardinality: int

    @classmethod
    def of(cls, schema: Schema, name: str) -> FieldPlace:
        """Finds a field by its name."""
        index = [field.name for field in schema.fields].index(name)
        slot = sum(field.slots for field in schema.fields[:index])
        return cls(slot, schema.offsets[index], schema.fields[index].cardinality)

    def codes(self, ids: Tensor) -> Tensor:
        """ids (B, S') -> each row's code (B,), 0 for padding and unknown values."""
        return (ids[:, self.slot].long() - self.first_row).clamp(min=0)
