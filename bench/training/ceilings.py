"""Measures the machine's limits: matrix products and copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_SIDE = 1024  # of the matrices: large enough to reach the ceiling, small enough for a CPU's time
_NUMBERS = 1 << 24  # in the copied tensor: 64 MiB, more than a core's share of a cache
_TRIES = 7


@dataclass(frozen=True)
class Ceilings:
    """Measured limits, with torch's number of threads.

    Attributes:
        flops: floating-point operations a second in a square product; a multiplication and an addition are two.
        bytes: bytes a second in a copy, those read and those written.
        products_in: the type of the matrices, as in "float32".
    """

    flops: float
    bytes: float
    products_in: str


def measure(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Takes the best of a few tries, in about a tenth of a second; matrices are of the given type."""
    wait = torch.cuda.synchronize if device.type == "cuda" else _nothing
    left = torch.randn(_SIDE, _SIDE, device=device).to(dtype)
    product = torch.empty_like(left)
    source = torch.ones(_NUMBERS, device=device)
    target = torch.ones_like(source)
    return Ceilings(
        flops=2 * _SIDE**3 / _best(lambda: torch.mm(left, left, out=product), wait),
        bytes=2 * source.nbytes / _best(lambda: target.copy_(source), wait),
        products_in=str(dtype).removeprefix("torch."),
    )


def _best(work: Callable[[], object], wait: Callable[[], None]) -> float:
    times = []
    for _ in range(_TRIES):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return min(times)


def _nothing() -> None:
    pass
