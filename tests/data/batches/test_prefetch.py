from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest

from bench.data.batches import Batches
from bench.data.prefetch import ahead
from bench.data.store import Split


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("seesaw-prefetch")]


def ended() -> bool:
    """Whether all threads end: nobody waits for them when they are left."""
    for thread in running():
        thread.join(10)
    return not running()


def counted(made: list[int], stop: int, closed: list[str] | None = None) -> Generator[int]:
    try:
        for number in range(stop):
            made.append(number)
            yield number
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_items_come_in_their_order(depth: int) -> None:
    assert list(ahead(counted([], 100), depth)) == list(range(100))
    assert ended()


def test_items_are_made_by_another_thread_and_not_before_they_are_asked_for() -> None:
    made: list[int] = []
    closed: list[str] = []
    items = ahead(counted(made, 3, closed), 2)
    assert not running()
    assert not made
    assert list(items) == [0, 1, 2]
    assert ended()
    assert closed == ["seesaw-prefetch_0"]


def test_no_more_than_depth_are_made_ahead() -> None:
    made: list[int] = []
    reached = threading.Event()

    def items() -> Generator[int]:
        for number in counted(made, 100):
            if number == 6:
                reached.set()
            yield number

    taken = ahead(items(), 3)
    for _ in range(4):
        next(taken)
    assert reached.wait(10)  # 0 to 3 are taken, 4 to 6 wait
    assert not threading.Event().wait(0.05)
    assert made == list(range(7))
    taken.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Generator[int]:
        yield 1
        raise OSError("the disk is gone")

    items = ahead(broken(), 4)
    assert next(items) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert ended()


def test_whoever_leaves_waits_for_nothing() -> None:
    """The garbage collector closes what was left, where a lock may be held that the thread needs to end."""
    made: list[int] = []
    closed: list[str] = []
    reached, goes_on = threading.Event(), threading.Event()

    def items() -> Generator[int]:
        for number in counted(made, 1000, closed):
            if number == 1:
                reached.set()
                goes_on.wait(10)
            yield number

    taken = ahead(items(), 2)
    next(taken)
    assert reached.wait(10)
    taken.close()
    assert not closed  # it is still at item 1
    goes_on.set()
    assert ended()
    assert closed
    assert made == [0, 1]


def test_a_pass_over_a_split_given_up_leaves_no_thread(tmp_path: Path, mapped: Callable[..., Split]) -> None:
    data = Batches(mapped(tmp_path, np.zeros((20_000, 1))), memory=200_000)
    for batches in (data.shuffled(100, seed=0), data.in_order(100)):
        next(batches)
        assert running()
        batches.close()  # type: ignore[attr-defined]
        assert ended()
