"""Texts that are lists: which separator they use, told from names that only contain one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEPARATORS = ("|", ";", ",", " ")
MOST = 20_000
"""Distinct texts that are looked at."""
_CODE = re.compile(r"[A-Za-z]*\d+")


def find_separator(texts: Sequence[str], counts: NDArray[np.int64]) -> tuple[str, int, int] | None:
    """(separator, slots that hold 95% of the lists whole, length of the longest list), or None.

    In a list the same part stands in several texts, and now first, now later; in "Paris, TX" or "[10,20)" each part
    has its place. Between blanks only codes such as `12 7 31` are taken for a list: other texts are names.
    """
    texts, counts = texts[:MOST], counts[:MOST]
    for separator in SEPARATORS:
        lists = [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]
        lengths = np.array([len(parts) for parts in lists])
        if counts[lengths > 1].sum() < 0.1 * counts.sum():
            continue
        if separator == " " and not all(_CODE.fullmatch(part) for parts in lists for part in parts):
            continue
        if _shared(lists):
            return separator, *slots_of(lengths, counts)
    return None


def slots_of(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[int, int]:
    """Slots that hold 95% of the lists whole, and the length of the longest list."""
    order = np.argsort(lengths)
    reached = np.cumsum(counts[order]) >= 0.95 * counts.sum()
    slots = int(lengths[order][int(np.argmax(reached))])
    return min(max(slots, 2), 50), int(lengths.max())


def _shared(lists: list[list[str]]) -> bool:
    first = {parts[0] for parts in lists if len(parts) > 1}
    later = {part for parts in lists for part in parts[1:]}
    distinct = {part for parts in lists for part in parts}
    total = sum(map(len, lists))
    return total >= 2 * len(distinct) and len(first & later) >= 0.3 * len(first | later)
