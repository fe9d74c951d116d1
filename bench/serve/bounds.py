"""Bounds the memory and work of a packaged model for `ROWS` rows, computed without values before it
runs.

A package may come from anyone, so the resources of its graph, or of its configuration, are bounded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch._ops import OpOverload
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
# these read only as many numbers as they write
_GATHER = (torch.ops.aten.embedding, torch.ops.aten.index_select)


def check_bounds(model: Callable[[Tensor, Tensor], object], ids: Tensor, dense: Tensor) -> None:
    """Runs a model on ids (ROWS, S), dense (ROWS, D) without values; UserError beyond `MAX_BYTES`
    or `MAX_WORK`.
    """
    with _Counting():
        model(ids, dense)


class _Counting(TorchDispatchMode):
    """Counts the work of each basic operator that is run, and the bytes of its results."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._work = 0
        self._inputs: dict[int, StorageWeakRef] = {}
        self._results: dict[int, StorageWeakRef] = {}
        self._bytes: dict[int, int] = {}  # of each result

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        arguments = _tensors_in((args, kwargs))
        for argument in arguments:
            storage = _storage(argument)
            if storage.cdata not in self._results:  # weights and inputs
                self._inputs[storage.cdata] = storage

        result = func(*args, **kwargs)
        self._forget_freed()
        written = self._add_results(_tensors_in(result))

        numbers = 0
        if written:
            gathers = func.overloadpacket in _GATHER
            read = 0 if gathers else sum(argument.numel() for argument in arguments)
            numbers = written + read
        work = A_NUMBER * numbers
        work_of_product = flop_registry.get(func.overloadpacket)
        if work_of_product is not None:
            work = work_of_product(*args, **kwargs, out_val=result)
        self._work += max(work, AN_OPERATOR)
        self._check(func.overloadpacket.__name__)
        return result

    def _forget_freed(self) -> None:
        for key in [key for key, storage in self._results.items() if storage.expired()]:  # type: ignore[no-untyped-call]
            del self._results[key]
            del self._bytes[key]

    def _add_results(self, results: list[Tensor]) -> int:
        """The numbers that an operator wrote; none where it made a view."""
        written = 0
        for tensor in results:
            storage = _storage(tensor)
            if storage.cdata not in self._results and storage.cdata not in self._inputs:
                self._results[storage.cdata] = storage
                self._bytes[storage.cdata] = tensor.untyped_storage().nbytes()
                written += tensor.numel()
        return written

    def _check(self, operator: str) -> None:
        total_bytes = sum(self._bytes.values())
        if total_bytes > MAX_BYTES:
            raise UserError(
                f"expected at most {MAX_BYTES:,} bytes for {ROWS:,} rows, found {total_bytes:,} at "
                f"'{operator}'"
            )
        if self._work > MAX_WORK:
            raise UserError(
                f"expected work of at most {MAX_WORK:,} additions for {ROWS:,} rows, found more at "
                f"'{operator}'"
            )


def _tensors_in(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
