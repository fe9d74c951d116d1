"""Every random number comes from one seed: (run seed, what it is for) -> seed."""

from __future__ import annotations

import hashlib


def derive(seed: int, *path: int | str) -> int:
    """A seed in [0, 2**31) that depends on every part of the path and on nothing else.

    A hash, so that neighbouring trials get unrelated streams and adding a purpose moves no other.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 2**31
