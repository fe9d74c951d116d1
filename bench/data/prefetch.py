"""Work done ahead: a thread makes the next items while the consumer is busy with one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T]:
    """The items in their order, made by a thread of their own up to `depth` ahead of the consumer.

    The thread starts with the first item asked for and ends with the last, or when the consumer stops early and closes
    the iterator. An exception in `items` surfaces in the consumer, after the items before it.
    """
    end = object()
    try:
        with ThreadPoolExecutor(1, "seesaw-prefetch") as pool:
            waiting = deque(pool.submit(next, items, end) for _ in range(depth))
            try:
                while (item := waiting.popleft().result()) is not end:
                    waiting.append(pool.submit(next, items, end))
                    yield item  # type: ignore[misc]
            finally:
                for future in waiting:
                    future.cancel()
    finally:  # in this thread: an iterator that was left may be collected in any, and must not wait for its own there
        if isinstance(items, Generator):
            items.close()
