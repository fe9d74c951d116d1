"""Touched-row optimizers on a GPU: one Triton kernel sums the gradient of each distinct row and updates the row.

Importing this module needs Triton, which torch's CUDA wheels bring.

Ids are sorted, so equal ids form a run. A program takes one tile of the sorted ids and the runs that start there. It
sums each run's gradient, reads the row's weight and state once, applies the rule, and writes once. A run may continue
beyond its tile: the short kernel `carry` has already summed its part in each later tile, and the program adds these
parts, a block at a time. So all tiles of a row with 65,536 ids are processed in parallel.

Results do not vary between calls on the same kind of GPU with the same Triton: equal ids keep the order of the samples,
additions have a fixed order, and none is atomic. Launches have fixed shapes and read nothing back, so a CUDA graph can
capture them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ELEMENTS = 4096  # in a tile of up to 256 columns: 16 a thread
OPTIONS = {"num_warps": 8, "enable_fp_fusion": True}  # may fuse a product and a sum, as the CPU's kernels

_Decorator = Callable[[Callable[..., Any]], Any]
_jit: _Decorator = triton.jit
_jit_launched: _Decorator = triton.jit(do_not_specialize=["count"])  # other batch sizes need no compilation


def step(
    rule: str,
    ids: Tensor,
    gradient: Tensor,
    rate: Tensor,
    l2: float,
    weight: Tensor,
    state: Sequence[Tensor],
    constants: Mapping[str, float],
) -> None:
    """Updates weight and state in place.

    Args:
        rule: of `RULES`.
        ids: (B, S) integers; 0 is the padding.
        gradient: (B, S, W) float32, bfloat16 or float16, contiguous.
        rate: the learning rate, () float64, read on the device.
        l2: decoupled decay.
        weight: (R, W) float32, contiguous.
        state: further tensors of the rule's kernel.
        constants: of the rule, compiled into its kernel.
    """
    count, width = ids.numel(), weight.shape[1]
    if not count:
        return
    ordered, order = torch.sort(ids.reshape(-1), stable=True)
    sizes = tile_of(width)
    tiles = triton.cdiv(count, sizes["TILE"])
    carried = torch.empty(tiles, width, device=weight.device)
    batch = ordered, order, gradient, carried, count
    with torch.cuda.device_of(weight):  # type: ignore[no-untyped-call]
        carry[(tiles,)](*batch, **sizes, **OPTIONS)
        RULES[rule][(tiles,)](*batch, rate, l2, weight, *state, **constants, **sizes, **OPTIONS)


def tile_of(width: int) -> dict[str, int]:
    """Sizes of the kernels for rows of that width; they, and so the order of additions, depend only on the width."""
    columns = triton.next_power_of_2(width)
    return {"WIDTH": width, "COLUMNS": columns, "TILE": min(128, max(16, ELEMENTS // columns))}


@_jit_launched
def carry(ordered, order, gradient, carried, count, WIDTH: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sums this tile's part of a run that started in an earlier tile, if any, into `carried[tile]`."""
    tile = tl.program_id(0)
    start = tile * TILE
    before = tl.load(ordered + start - 1, mask=start > 0, other=0)
    if (before != 0) & (tl.load(ordered + start) == before):
        at = start + tl.arange(0, TILE)
        same = tl.load(ordered + at, mask=at < count, other=0) == before
        part = _gradient(order, gradient, at, same, WIDTH, COLUMNS)
        column = tl.arange(0, COLUMNS)
        tl.store(carried + tile * WIDTH + column, tl.sum(part, axis=0), mask=column < WIDTH)


@_jit_launched
def sgd(  # type: ignore[no-untyped-def]
    ordered, order, gradient, carried, count, rate, l2, weight,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """See `RowSGD`."""
    rows, live, g = _sums(ordered, order, gradient, carried, count, WIDTH, COLUMNS, TILE)
    lr, decay = _rates(rate, l2)
    at, there = _elements(rows, live, WIDTH, COLUMNS)
    w = tl.load(weight + at, mask=there, other=0.0)
    tl.store(weight + at, decay * w - lr * g, mask=there)


@_jit_launched
def adagrad(  # type: ignore[no-untyped-def]
    ordered, order, gradient, carried, count, rate, l2, weight, square,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    """See `RowAdagrad`."""
    rows, live, g = _sums(ordered, order, gradient, carried, count, WIDTH, COLUMNS, TILE)
    lr, decay = _rates(rate, l2)
    at, there = _elements(rows, live, WIDTH, COLUMNS)
    s = tl.load(square + rows, mask=live, other=0.0) + tl.sum(g * g, axis=1) / WIDTH
    scale = tl.div_rn(lr, tl.sqrt_rn(s) + EPS)
    w = tl.load(weight + at, mask=there, other=0.0)
    tl.store(square + rows, s, mask=live)
    tl.store(weight + at, decay * w - scale[:, None] * g, mask=there)


@_jit_launched
def adam(  # type: ignore[no-untyped-def]
    ordered, order, gradient, carried, count, rate, l2, weight, mean, square, steps, first, second,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr,
    B1: tl.constexpr, B2: tl.constexpr, EPS: tl.constexpr, LAST1: tl.constexpr, LAST2: tl.constexpr,
):  # fmt: skip
    """See `RowAdam`; `first` and `second` are its tables of bias corrections."""
    rows, live, g = _sums(ordered, order, gradient, carried, count, WIDTH, COLUMNS, TILE)
    lr, decay = _rates(rate, l2)
    at, there = _elements(rows, live, WIDTH, COLUMNS)
    t = tl.load(steps + rows, mask=live, other=0) + 1
    rates = tl.div_rn(lr, tl.load(first + tl.minimum(t, LAST1)).to(tl.float32))
    roots = tl.load(second + tl.minimum(t, LAST2))
    m = B1 * tl.load(mean + at, mask=there, other=0.0) + (1 - B1) * g
    v = B2 * tl.load(square + at, mask=there, other=0.0) + (1 - B2) * g * g
    w = tl.load(weight + at, mask=there, other=0.0)
    tl.store(steps + rows, t, mask=live)
    tl.store(mean + at, m, mask=there)
    tl.store(square + at, v, mask=there)
    tl.store(weight + at, decay * w - tl.div_rn(rates[:, None] * m, tl.sqrt_rn(v) * roots[:, None] + EPS), mask=there)


RULES: dict[str, Any] = {"sgd": sgd, "adagrad": adagrad, "adam": adam}


@_jit
def _sums(ordered, order, gradient, carried, count, WIDTH: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sums runs that start in this tile, at their last positions in it: rows, live (TILE,), sums (TILE, COLUMNS)."""
    tile = tl.program_id(0)
    start = tile * TILE
    at = start + tl.arange(0, TILE)
    ids = tl.load(ordered + at, mask=at < count, other=0)
    before = tl.load(ordered + start - 1, mask=start > 0, other=0)
    mine = (ids != 0) & (ids != before)
    part = _gradient(order, gradient, at, mine, WIDTH, COLUMNS)
    _, sums = tl.associative_scan((tl.broadcast_to(ids[:, None], (TILE, COLUMNS)), part), 0, _add_equal)
    # The last run may continue in later tiles.
    last = tl.max(ids, axis=0)
    column = tl.arange(0, COLUMNS)
    later = tile + 1 + tl.arange(0, TILE)
    more = tl.full((COLUMNS,), 0.0, tl.float32)
    goes_on = (last != 0) & (last != before)
    while goes_on:
        same = tl.load(ordered + later * TILE, mask=later * TILE < count, other=0) == last
        there = same[:, None] & (column < WIDTH)[None, :]
        more += tl.sum(tl.load(carried + later[:, None] * WIDTH + column[None, :], mask=there, other=0.0), axis=0)
        later += TILE
        goes_on = tl.min(same.to(tl.int32), axis=0) == 1
    at_end = at == start + TILE - 1
    live = mine & (at_end | (ids != tl.load(ordered + at + 1, mask=at + 1 < count, other=0)))
    return ids.to(tl.int64), live, sums + tl.where(at_end[:, None], more[None, :], 0.0)


@_jit
def _add_equal(left_id, left, right_id, right):  # type: ignore[no-untyped-def]
    """Adds values with the same id; associative, since ids are sorted."""
    return right_id, tl.where(left_id == right_id, left, 0.0) + right


@_jit
def _gradient(order, gradient, at, wanted, WIDTH: tl.constexpr, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The gradient at positions of the sorted ids: (TILE,) -> (TILE, COLUMNS) float32, 0 where not wanted."""
    source, there = _elements(tl.load(order + at, mask=wanted, other=0), wanted, WIDTH, COLUMNS)
    return tl.load(gradient + source, mask=there, other=0.0).to(tl.float32)


@_jit
def _elements(rows, live, WIDTH: tl.constexpr, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Offsets of the elements of rows (TILE,), and which of them exist: both (TILE, COLUMNS)."""
    column = tl.arange(0, COLUMNS)[None, :]
    return rows[:, None] * WIDTH + column, live[:, None] & (column < WIDTH)


@_jit
def _rates(rate, l2):  # type: ignore[no-untyped-def]
    """The learning rate, and the decay factor of a touched row."""
    lr = tl.load(rate)
    return lr.to(tl.float32), (1.0 - lr * l2).to(tl.float32)
