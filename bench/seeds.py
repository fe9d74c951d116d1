"""Every random number comes from one seed: (run seed, what it is for) -> seed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def derive(seed: int, *path: int | str) -> int:
    """A seed in [0, 2**31) that depends on every part of the path and on nothing else.

    A hash, so that neighbouring trials get unrelated streams and adding a purpose moves no other.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 2**31


def mixed(bits: Any) -> Any:
    """Scatter unsigned 64-bit numbers, one or an array: splitmix64's finaliser (Steele, Lea & Flood, OOPSLA 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
