"""Whether a model's dense part uses bfloat16 products on this device."""

from __future__ import annotations

from functools import cache

import torch

from bench.models.config import Precision
from bench.system.machine import processor_vendor

WORTH_IT = 32_768
"""Minimum number of dense weights for `auto` to use bf16: for smaller products the casts cost more than they save."""


def is_bf16(precision: Precision, device: torch.device, weights: int) -> bool:
    """Whether matrices are multiplied in bfloat16, in a model of that many dense weights.

    `auto` means: if the device has units for it and the model is large enough to gain.
    """
    if precision == "auto":
        return weights >= WORTH_IT and has_bf16_units(device)
    return precision == "bf16"


@cache
def has_bf16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices faster than float32 ones, as far as torch can tell.

    Of CPUs, those with AMX, and AMD's with AVX512_BF16 (Zen 4 on), whose dot products do twice the work of float32
    ones. Intel's AVX512_BF16 does not, and was slower, casts included.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # emulated before Ampere
    if device.type != "cpu":
        return False
    return _torch_says("_is_amx_tile_supported") or (
        _torch_says("_is_avx512_bf16_supported") and processor_vendor() == "AuthenticAMD"
    )


def _torch_says(question: str) -> bool:
    """Asks a private function of torch; False if this version lacks it."""
    supported = getattr(torch.cpu, question, None)
    return supported is not None and bool(supported())
