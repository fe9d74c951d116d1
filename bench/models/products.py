"""Batched matrix products: on the CPU by the faster of torch's two libraries, and where in
bfloat16.

Torch uses MKL for float32 products, which on AMD's processors has vectors of 256 bits. oneDNN,
which torch uses for bfloat16 only, has 512 where the processor does: 2.0 to 2.3 times as fast
(docs/studies/performance.md).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from bench.core.system.machine import processor_vendor
from bench.models.model_options import Precision

WORTH_ONEDNN = 1 << 20
"""Minimum number of multiplications in a product for oneDNN, whose call takes 6 microseconds
longer.
"""


def product(x: Tensor, y: Tensor) -> Tensor:
    """`torch.bmm`: x (G, B, I), y (G, I, O) -> (G, B, O), possibly a transposed view."""
    multiplications = x.shape[1] * x.shape[2] * y.shape[2]
    is_candidate = x.is_cpu and x.dtype == torch.float32 and multiplications >= WORTH_ONEDNN
    return by_onednn(x, y) if is_candidate and has_wider_vectors() else torch.bmm(x, y)


def by_onednn(x: Tensor, y: Tensor) -> Tensor:
    """`product` by oneDNN, for any layout of y but a contiguous x: the smaller of two strided
    operands is copied.
    """
    if x.stride(2) != 1 and y.shape[2] < x.shape[1]:
        return by_onednn(y.transpose(1, 2), x.transpose(1, 2)).transpose(1, 2)
    if len(x) == 1:
        return _linear(x[0], y[0].t()).unsqueeze(0)
    z = x.new_empty(len(x), x.shape[1], y.shape[2])
    for group, weight in enumerate(y.transpose(1, 2)):
        z[group].copy_(_linear(x[group], weight))
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


WORTH_IT = 32_768
"""Minimum number of dense weights for `auto` to use bf16: for smaller products the casts cost more
than they save.
"""


def is_bf16(precision: Precision, device: torch.device, weights: int) -> bool:
    """Whether matrices are multiplied in bfloat16, in a model of that many dense weights.

    `auto` means: if the device has units for it and the model is large enough to gain.
    """
    if precision == "auto":
        return weights >= WORTH_IT and has_bf16_units(device)
    return precision == "bf16"


@cache
def has_bf16_units(device: torch.device) -> bool:
    """Whether torch says that the device multiplies bfloat16 matrices faster than float32 ones.

    Of CPUs, those with AMX, and AMD's with AVX512_BF16 (Zen 4 on), whose dot products do twice the
    work of float32 ones. Intel's AVX512_BF16 does not, and was slower, casts included.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # emulated before Ampere
    if device.type != "cpu":
        return False
    if _torch_says("_is_amx_tile_supported"):
        return True
    return _torch_says("_is_avx512_bf16_supported") and processor_vendor() == "AuthenticAMD"


def _torch_says(question: str) -> bool:
    """Asks a private function of torch; False if this version lacks it."""
    supported = getattr(torch.cpu, question, None)
    return supported is not None and bool(supported())
