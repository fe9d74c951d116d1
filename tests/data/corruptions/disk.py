"""Disks that are full."""

from __future__ import annotations

from contextlib import ExitStack

from corruptions import downloads, goods, small_disk
from corruptions.entry import Edit, Entry, Refused
from corruptions.work import Work

FULL = "cannot be written: No space left on device"
SIZES = (700, 2_000, 6_000, 10_000, 16_000)


def anew(work: Work) -> None:
    """Another recipe, which makes the same arrays."""
    work.card_edit("[columns]", "[encoding]\nseed = 1\n\n[columns]")


def ali_anew(work: Work) -> None:
    work.card_edit("min_count = 2", "min_count = 2\nseed = 1")


def full(good: str, change: Edit, size: int, where: str, leaves: tuple[str, ...] = ()) -> Refused:
    def during(work: Work) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(small_disk.room(work.home, size))
        stack.enter_context(downloads.at_once(work))
        return stack

    return Refused(f"a disk with {size} bytes left: {good}", good, change, f"{{home}}/{where}: {FULL}", during, leaves)


TABLE: tuple[Entry, ...] = (
    full("log", anew, 0, "raw/digests.json"),
    *(full("log", anew, size, "store/shop/...") for size in SIZES),
    *(full("ali", ali_anew, size, "store/ali-ccp/...") for size in (8_000, 50_000, 200_000)),
    full(goods.REMOTE, downloads.anew(lambda work: None), 300, "raw/shop/downloads/...", downloads.PARTS),
)
