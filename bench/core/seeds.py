"""Derives every seed from the run's seed and a purpose."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def derive(seed: int, *path: int | str) -> int:
    """Returns a seed in [0, 2**31) that depends on every part of the path and nothing else.

    It is a hash, so neighbouring trials get unrelated streams, and a new purpose changes no
    other's.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 2**31


def mixed(bits: Any) -> Any:
    """Scrambles uint64 numbers, scalar or array, by splitmix64's finaliser (Steele, Lea & Flood,
    OOPSLA 2014).
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
