"""Batched matrix products on the CPU, by the faster of torch's two libraries.

Torch uses MKL for float32 products, which on AMD's processors has vectors of 256 bits. oneDNN, which torch uses for
bfloat16 only, has 512 where the processor does: 2.1 to 2.6 times as fast (docs/performance.md).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from bench.system.machine import processor_vendor

WORTH_ONEDNN = 1 << 20
"""Minimum number of multiplications in a product for oneDNN, whose call takes 6 microseconds longer."""


def product(x: Tensor, y: Tensor) -> Tensor:
    """`torch.bmm`: x (G, B, I), y (G, I, O) -> (G, B, O), possibly a transposed view."""
    large = x.is_cpu and x.dtype == torch.float32 and x.shape[1] * x.shape[2] * y.shape[2] >= WORTH_ONEDNN
    return by_onednn(x, y) if large and has_wider_vectors() else torch.bmm(x, y)


def by_onednn(x: Tensor, y: Tensor) -> Tensor:
    """`product` by oneDNN, for any layout of y but a contiguous x: the smaller of two strided operands is copied."""
    if x.stride(2) != 1 and y.shape[2] < x.shape[1]:
        return by_onednn(y.transpose(1, 2), x.transpose(1, 2)).transpose(1, 2)
    if len(x) == 1:
        return _linear(x[0], y[0].t()).unsqueeze(0)
    z = x.new_empty(len(x), x.shape[1], y.shape[2])
    for to, each, weight in zip(z, x, y.transpose(1, 2), strict=True):
        to.copy_(_linear(each, weight))
    return z


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    z: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return z


@cache
def has_wider_vectors() -> bool:
    """Whether oneDNN uses wider vectors than MKL in float32."""
    return (
        processor_vendor() == "AuthenticAMD"
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
