"""Work done ahead: a thread makes the next items while the consumer is busy with one."""

from __future__ import annotations

import threading
from collections.abc import Generator
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class _End:
    """No more items, with the exception that ended them, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Producer(Generic[T]):
    """Runs a generator in a thread, at most `depth` items ahead of what was taken."""

    def __init__(self, items: Generator[T], depth: int) -> None:
        self.made: SimpleQueue[T | _End] = SimpleQueue()
        self.free = threading.Semaphore(depth)
        self.stopped = False
        self._items = items
        self._thread = threading.Thread(target=self._run, name="seesaw-prefetch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while True:
                self.free.acquire()
                if self.stopped:
                    break
                self.made.put(next(self._items))
        except StopIteration:
            pass
        except BaseException as found:
            error = found
        finally:
            self._items.close()  # here: a generator's clean-up belongs to the thread that ran it
            self.made.put(_End(error))

    def stop(self) -> None:
        """Ends the thread; waits for the item that it is making."""
        self.stopped = True
        self.free.release()
        self._thread.join()


def ahead(items: Generator[T], depth: int) -> Generator[T]:
    """The items in their order, made by a thread of their own up to `depth` ahead of the consumer.

    The thread starts with the first item asked for and ends with the last, or when the consumer stops early and closes
    the iterator. An exception in `items` surfaces in the consumer, after the items before it.
    """
    producer = _Producer(items, depth)
    try:
        while not isinstance(item := producer.made.get(), _End):
            producer.free.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        producer.stop()
