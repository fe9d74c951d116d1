"""Bounds the memory and work of a packaged model for `ROWS` rows, computed without values before it
runs.

A package may come from anyone, so the resources of its graph, or of its configuration, are bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.core.errors import UserError

ROWS = 4096
"""Rows that go through a model at once, which bounds the memory of any batch."""
MAX_BYTES = 2**31
"""Largest total size of all values held at once."""
MAX_WORK = 2**40
"""Largest total work: additions and multiplications of products; for other operators `A_NUMBER` for
each number read or written, which takes about as long; at least `AN_OPERATOR` each. About half a
minute of one core."""
A_NUMBER, AN_OPERATOR = 32, 2**22
_GATHER = (
    torch.ops.aten.embedding,
    torch.ops.aten.index_select,
)  # read only as many numbers as they write


def check(model: Callable[[Tensor, Tensor], Any], ids: Tensor, dense: Tensor) -> None:
    """Runs a model on ids (ROWS, S), dense (ROWS, D) without values; UserError beyond `MAX_BYTES`
    or `MAX_WORK`.
    """
    with _Counting():
        model(ids, dense)


class _Counting(TorchDispatchMode):
    """Counts the work of each basic operator that is run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._work, self._made, self._given = (
            0,
            dict[int, tuple[StorageWeakRef, int]](),
            dict[int, StorageWeakRef](),
        )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        for storage in map(_storage, given):
            if storage.cdata not in self._made:  # weights and inputs
                self._given[storage.cdata] = storage
        result = func(*args, **kwargs)
        read = 0 if func.overloadpacket in _GATHER else sum(each.numel() for each in given)
        self._made = {key: each for key, each in self._made.items() if not each[0].expired()}  # type: ignore[no-untyped-call]
        numbers = 0
        for each in (each for each in tree_leaves(result) if isinstance(each, Tensor)):
            storage = _storage(each)
            if storage.cdata not in self._made and storage.cdata not in self._given:  # else a view
                self._made[storage.cdata] = storage, each.untyped_storage().nbytes()
                numbers += each.numel()
        self._count(func, args, kwargs, result, numbers + read if numbers else 0)
        return result

    def _count(self, func: Any, args: Any, kwargs: Any, result: Any, numbers: int) -> None:
        name = func.overloadpacket.__name__
        held = sum(size for _, size in self._made.values())
        if held > MAX_BYTES:
            raise UserError(
                f"expected at most {MAX_BYTES:,} bytes for {ROWS:,} rows, found {held:,} at "
                f"'{name}'"
            )
        work = A_NUMBER * numbers
        if (of_product := flop_registry.get(func.overloadpacket)) is not None:
            work = of_product(*args, **kwargs, out_val=result)
        self._work += max(work, AN_OPERATOR)
        if self._work > MAX_WORK:
            raise UserError(
                f"expected work of at most {MAX_WORK:,} additions for {ROWS:,} rows, found more at "
                f"'{name}'"
            )


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
