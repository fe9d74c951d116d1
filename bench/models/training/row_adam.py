"""Adam (Kingma & Ba, ICLR 2015) on the embedding rows that a batch touches, each of which counts
its own steps.

A batch touches a few thousand rows of a table of millions. Other libraries spend most of their time
on dense gradients of the table or dense steps over it; neither exists here.

The compiled loops wait for memory more than they compute: a batch's rows are scattered over a table
that no cache holds. So they prefetch each line some iterations ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.schema import Schema
from bench.core.system.intrinsics import AHEAD, LINE, jit, prefetch
from bench.models.compiling import array, widen
from bench.models.embedding import new_table

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
TYPICAL_BATCH = 2048  # only balances work between threads
_SPREAD = np.uint32(2654435769)
"""2^32 / golden ratio: Fibonacci hashing (Knuth, TAOCP 3, section 6.4)."""


class RowAdam:
    """With a row's gradient g at its t-th step, element by element:

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        w = (1 - lr l2) w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    g is the summed gradient of a distinct row of a batch; t counts the steps in which the row was
    touched, so a rare id's first step has the size `lr` like any other row's. State: 8 W + 4 bytes
    a row. Row 0, the padding, never changes.

    On the CPU compiled kernels do the work: tables have disjoint rows, so threads take tables,
    without locks, and the result does not depend on their number. On a GPU torch operations do it.
    They have fixed shapes and do not synchronise, so a CUDA graph can capture `step`; it reads
    `rate` on the device, so set that outside the captured region.

    Args:
        weight: (R, W) float32, contiguous; changed in place.
        schema: names which columns of `ids` belong to one field.
        lr: learning rate.
        l2: decoupled decay (Loshchilov & Hutter, ICLR 2019): a touched row shrinks by the factor 1
            - `lr * l2` before its step.
        threads: number of tables processed in parallel.
        compiled: False uses torch operations on every device.

    Attributes:
        rate: learning rate of the next step, at first `lr`.
    """

    def __init__(
        self,
        weight: Tensor,
        schema: Schema,
        lr: float,
        l2: float = 0.0,
        threads: int = 1,
        compiled: bool = True,
    ) -> None:
        self.weight = weight.detach()
        self.lr, self.l2 = lr, l2
        (rows, width), device = weight.shape, weight.device
        self.rate = torch.tensor(lr, dtype=torch.float64, device=device)
        self._state = {
            "mean": new_table(rows, width, device),
            "square": new_table(rows, width, device),
            "steps": torch.zeros(rows, dtype=torch.int32, device=device),
        }
        # Copied to the device here, because a CUDA graph may be capturing the first step.
        mean_bias, inverse_root = _bias()
        self._mean_bias = torch.from_numpy(mean_bias).to(device)
        self._inverse_root = torch.from_numpy(inverse_root).to(device)
        self._groups = table_groups(schema, threads) if compiled and weight.is_cpu else []
        self._pool: ThreadPoolExecutor | None = None
        if len(self._groups) > 1:
            self._pool = ThreadPoolExecutor(len(self._groups) - 1)

    def step(self, ids: Tensor, gradient: Tensor) -> None:
        """Updates the table from ids (B, S) int32 and the gradient (B, S, W) of their embeddings;
        sums are float32.
        """
        if not ids.shape[1]:  # data without a categorical field
            return
        gradient = gradient.detach().contiguous()
        if not self._groups:
            self._step_by_torch(ids, gradient.float())
            return

        arrays = ids.int().contiguous().numpy().view(np.uint32), array(gradient)
        futures = []
        if self._pool is not None:
            for group in self._groups[1:]:
                futures.append(self._pool.submit(self._step_group, group, *arrays))
        self._step_group(self._groups[0], *arrays)
        for future in futures:
            future.result()

    def state_dict(self) -> dict[str, Tensor]:
        """State of every row; the optimizer's own tensors."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copies a state of the same table."""
        for name, tensor in self._state.items():
            tensor.copy_(state[name])

    def _step_group(
        self, group: TableGroup, ids: NDArray[np.uint32], gradient: NDArray[Any]
    ) -> None:
        rows, sums, count = group.sums(ids, gradient)
        tables = [tensor.numpy() for tensor in (self.weight, *self._state.values())]
        mean_bias, inverse_root = _bias()
        lr = self.rate.item()
        decay = np.float32(1.0 - lr * self.l2)
        rates = (lr / mean_bias).astype(np.float32)
        _update(*tables, rows, sums, count, decay, rates, inverse_root)

    @torch.no_grad()
    def _step_by_torch(self, ids: Tensor, gradient: Tensor) -> None:
        rows, sums, live = sum_by_row(ids, gradient)
        tables = (self.weight, *self._state.values())
        before = [table[rows] for table in tables]
        weight, mean, square, steps = before
        steps = steps + 1
        mean = BETA1 * mean + (1 - BETA1) * sums
        square = BETA2 * square + (1 - BETA2) * sums * sums
        mean_bias = self._mean_bias[steps.clamp(max=len(self._mean_bias) - 1)]
        inverse_root = self._inverse_root[steps.clamp(max=len(self._inverse_root) - 1)]
        rates = (self.rate / mean_bias).float().unsqueeze(1)
        decay = (1.0 - self.rate * self.l2).float()
        root = square.sqrt() * inverse_root.unsqueeze(1)
        weight = decay * weight - rates * mean / (root + EPS)

        after = (weight, mean, square, steps)
        for table, rows_before, rows_after in zip(tables, before, after, strict=True):
            mask = live if table.dim() > 1 else live.squeeze(1)
            # Row 0 stays unchanged.
            table.index_copy_(0, rows, torch.where(mask, rows_after, rows_before))


class RowGradients(NamedTuple):
    """A batch's distinct rows and their gradients, padded to N = B * S.

    `rows` (N,) int64 has each row of the batch once, then 0, where `live` (N, 1) is false; `sums`
    is (N, W) float32.
    """

    rows: Tensor
    sums: Tensor
    live: Tensor


def sum_by_row(ids: Tensor, gradient: Tensor) -> RowGradients:
    """ids (B, S) and the gradient of their embeddings (B, S, W) -> one gradient for each distinct
    row, by torch.

    Shapes do not depend on the ids: nothing is read back from a device, and a CUDA graph can
    capture a step. On CUDA the order of additions, and so the last bits of the sums, vary from call
    to call unless `torch.use_deterministic_algorithms` is on.
    """
    flat = ids.reshape(-1)
    ordered, order = torch.sort(flat)
    segment = torch.zeros_like(order)  # of each sorted id: index of its row among the distinct ones
    torch.cumsum(ordered[1:] != ordered[:-1], dim=0, out=segment[1:])
    place = torch.empty_like(order).scatter_(0, order, segment)
    rows = torch.zeros_like(order).scatter_(0, place, flat.long())  # equal ids write the same value
    lines = gradient.reshape(len(flat), gradient.shape[-1])
    sums = torch.zeros_like(lines).index_add_(0, place, lines)
    return RowGradients(rows, sums, (rows != 0).unsqueeze(1))


@lru_cache(maxsize=1)
def _bias() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """1 - beta1^t and 1 / sqrt(1 - beta2^t) by t, up to where they become 1 in double precision;
    entry 0 is unused.
    """
    mean_bias, square_bias = _one_minus_powers(BETA1), _one_minus_powers(BETA2)
    return mean_bias, (1.0 / np.sqrt(square_bias)).astype(np.float32)


def _one_minus_powers(beta: float) -> NDArray[np.float64]:
    end = np.ceil(-54 * np.log(2) / np.log(beta))
    powers: NDArray[np.float64] = 1.0 - beta ** np.arange(end + 1)
    powers[0] = 1.0
    return powers


@jit("contract")
def _update(weight, mean, square, steps, rows, sums, count, decay, rates, roots):  # type: ignore[no-untyped-def]
    width = weight.shape[1]
    b1, b2 = np.float32(BETA1), np.float32(BETA2)
    c1, c2 = np.float32(1.0 - BETA1), np.float32(1.0 - BETA2)
    small = np.float32(EPS)
    last = np.uint64(count)
    last_rate, last_root = np.uint64(len(rates) - 1), np.uint64(len(roots) - 1)
    for i in range(count):
        index = np.uint64(i + 1)
        coming = rows[min(index + AHEAD, last)]
        prefetch(steps, coming, 0)
        for k in range(0, width, LINE):
            prefetch(weight, coming, k)
            prefetch(mean, coming, k)
            prefetch(square, coming, k)
        row = rows[index]
        t = np.uint64(steps[row] + 1)
        steps[row] = t
        rate = rates[min(t, last_rate)]
        root = roots[min(t, last_root)]
        for k in range(width):
            g = sums[index, k]
            m = b1 * mean[row, k] + c1 * g
            v = b2 * square[row, k] + c2 * g * g
            mean[row, k] = m
            square[row, k] = v
            weight[row, k] = decay * weight[row, k] - rate * m / (np.sqrt(v) * root + small)


class Table(NamedTuple):
    """Rows of a field, and of the histories that share them: `columns` of `ids`, `cardinality`
    rows.
    """

    columns: tuple[int, ...]
    cardinality: int


def table_groups(schema: Schema, threads: int) -> list[TableGroup]:
    """Divides the tables into at most `threads` groups of about equal work, greedily from the
    costliest.
    """
    tables: dict[str, Table] = {}
    column = 0
    for field in schema.fields:
        name = field.of or field.name
        earlier = tables[name].columns if name in tables else ()
        columns = range(column, column + field.slots)
        tables[name] = Table((*earlier, *columns), field.cardinality)
        column += field.slots

    groups: list[list[Table]] = [[] for _ in range(max(1, min(threads, len(tables))))]
    for table in sorted(tables.values(), key=_cost, reverse=True):
        cheapest = min(groups, key=lambda group: sum(map(_cost, group)))
        cheapest.append(table)
    return [TableGroup(sorted(group)) for group in groups]


def _cost(table: Table) -> float:
    """Reading an id costs about as much as updating half a row, and half the ids of a large field
    are repeats.
    """
    slots = len(table.columns)
    return slots + min(slots, table.cardinality / TYPICAL_BATCH)


@dataclass
class Scratch:
    """Memory for `_sum_fields`, whose arguments it has."""

    bits: NDArray[np.int64]
    hashes: NDArray[np.uint32]
    places: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    sums: NDArray[np.float32]


class TableGroup:
    """Some tables of a schema: sums a batch's gradient by their distinct rows."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        columns: list[int] = []
        for table in tables:
            columns += table.columns
        self.columns = np.array(columns, dtype=np.int64)
        self.ends = np.cumsum([len(table.columns) for table in tables], dtype=np.int64)
        self._scratch: Scratch | None = None

    def sums(
        self, ids: NDArray[np.uint32], gradient: NDArray[Any]
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int]:
        """Distinct rows, gradients (.., W), their number n: both are filled from 1 to n, valid
        until the next call.
        """
        batch, width = len(ids), gradient.shape[2]
        scratch = self._scratch
        if scratch is None or batch > len(scratch.places) or width != scratch.sums.shape[1]:
            scratch = self._scratch = self._new_scratch(batch, width)
        count = _sum_fields(
            ids,
            gradient,
            self.columns,
            self.ends,
            scratch.bits,
            scratch.hashes,
            scratch.places,
            scratch.rows,
            scratch.sums,
        )
        return scratch.rows, scratch.sums, count

    def _new_scratch(self, batch: int, width: int) -> Scratch:
        bits = [(2 * batch * len(table.columns)).bit_length() for table in self.tables]
        rows = 1 + batch * len(self.columns)  # pages beyond the distinct rows never become resident
        scratch = Scratch(
            bits=np.array(bits, dtype=np.int64),
            hashes=np.empty(1 << max(bits), dtype=np.uint32),
            places=np.empty(batch, dtype=np.uint32),
            rows=np.empty(rows, dtype=np.uint32),
            sums=np.empty((rows, width), dtype=np.float32),
        )
        scratch.sums[0] = 0  # collects the padding's gradient; must not overflow from garbage
        return scratch


@jit("contract")
def _sum_fields(ids, gradient, columns, ends, bits, hashes, places, rows, sums):  # type: ignore[no-untyped-def]
    """Sums the gradient of each distinct row except row 0, field by field.

    A field's rows are found in a hash table that fits a fast cache, whatever the size of the
    embedding table. A row's gradients are added column by column in the order of the samples, so
    sums do not depend on the threads.

    Args:
        ids: (B, S) uint32.
        gradient: (B, S, W) float32, or the bits of bfloat16 in uint16.
        columns: of `ids`, whole fields one after the other.
        ends: end of each field in `columns`.
        bits: for each field, the logarithm of its part of `hashes`: at least twice its ids in a
            batch.
        hashes: uint32, the largest 2^bits or more: hash -> index in `rows`, 0 if free.
        places: (B,) uint32: the index in `rows` of each sample's row of a column.
        rows: uint32, filled from 1 on with the distinct rows.
        sums: (len(rows), W) float32, filled likewise.

    Returns:
        The number n of distinct rows; results are in `rows[1 : n + 1]` and `sums[1 : n + 1]`.
    """
    batch, width = ids.shape[0], gradient.shape[2]
    slots = np.uint64(ids.shape[1])
    lines = gradient.reshape(-1, width)
    count = np.uint32(0)
    begin = 0
    for field in range(len(ends)):
        shift = np.uint32(32 - bits[field])
        mask = np.uint32((1 << bits[field]) - 1)
        hashes[: 1 << bits[field]] = 0
        for c in range(begin, ends[field]):
            column = np.uint64(columns[c])
            before = count
            for sample in range(batch):
                row = ids[np.uint64(sample), column]
                place = np.uint32(0)
                if row != 0:
                    slot = np.uint32(row * _SPREAD) >> shift
                    place = hashes[slot]
                    while place != 0 and rows[place] != row:
                        slot = (slot + np.uint32(1)) & mask
                        place = hashes[slot]
                    if place == 0:
                        count += np.uint32(1)
                        place = count
                        hashes[slot] = place
                        rows[place] = row
                places[sample] = place
            sums[before + 1 : count + 1] = 0
            for sample in range(batch):
                position = np.uint64(sample) * slots + column
                for k in range(0, width, LINE):
                    prefetch(lines, position + AHEAD * slots, k)
                place = places[sample]
                for k in range(width):  # place 0 collects the padding's gradient, and is never read
                    sums[place, k] += widen(lines[position, k])
        begin = ends[field]
    return count
