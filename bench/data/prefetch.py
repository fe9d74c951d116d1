"""Work done ahead: threads make the next items while the consumer is busy with one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def workers(count: int, name: str = "seesaw-worker") -> Iterator[ThreadPoolExecutor]:
    """Threads for a generator; when it ends they get no more work, and each ends after the work
    that it is at.

    It does not wait for them. A generator that was left is closed by the garbage collector, at any
    line of any thread. That line may hold the lock that a thread needs to end (CPython's own list
    of threads has one): both would wait.
    """
    pool = ThreadPoolExecutor(count, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T]:
    """The items in their order, made by a thread of their own up to `depth` ahead of the consumer.

    The thread starts with the first item asked for and ends with the last, or after the item that
    it makes when the consumer stops early; then the items are closed, too. An exception in `items`
    surfaces in the consumer, after the items before it.
    """
    end = object()
    with workers(1, "seesaw-prefetch") as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]
