import threading

import pytest

from bench.data.prefetch import ahead


def running():
    return [thread for thread in threading.enumerate() if thread.name.startswith("seesaw-prefetch")]


def ended():
    """Whether all threads end: nobody waits for them when they are left."""
    for thread in running():
        thread.join(10)
    return not running()


def counted(produced, stop, closed=None):
    try:
        for number in range(stop):
            produced.append(number)
            yield number
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_items_come_in_their_order(depth):
    assert list(ahead(counted([], 100), depth)) == list(range(100))
    assert ended()


def test_no_more_than_depth_are_made_ahead():
    produced: list[int] = []
    reached = threading.Event()

    def items():
        for number in counted(produced, 100):
            if number == 6:
                reached.set()
            yield number

    taken = ahead(items(), 3)
    for _ in range(4):
        next(taken)
    assert reached.wait(10)  # 0 to 3 are taken, 4 to 6 wait
    assert not threading.Event().wait(0.05)
    assert produced == list(range(7))
    taken.close()


def test_an_error_comes_after_the_items_before_it():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    items = ahead(broken(), 4)
    assert next(items) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert ended()


def test_whoever_leaves_waits_for_nothing():
    """The garbage collector closes what was left, where a lock may be held that the thread needs to
    end.
    """
    produced: list[int] = []
    closed: list[str] = []
    reached, goes_on = threading.Event(), threading.Event()

    def items():
        for number in counted(produced, 1000, closed):
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
    assert produced == [0, 1]
