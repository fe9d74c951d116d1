"""Hashes of bytes and of whole numbers, for compiled code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

BASIS = np.uint64(14695981039346656037)
"""Where FNV-1a starts."""
PRIME = np.uint64(1099511628211)
"""What FNV-1a multiplies by."""


@numba.njit(nogil=True, cache=True)
def hash_of(data: Any, start: Any, end: Any, basis: Any) -> Any:
    """FNV-1a, then the finaliser of MurmurHash3, so that every bit depends on every byte."""
    key = basis
    for at in range(start, end):
        key = (key ^ np.uint64(data[at])) * PRIME
    return mixed(key)


@numba.njit(nogil=True, cache=True)
def mixed(key: Any) -> Any:
    """A bijection of 64 bits in which every bit of the result depends on every bit of the key."""
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xFF51AFD7ED558CCD)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))
