"""The thread that does what nobody waits for: everything, newest last, again after a failure, and not for ever."""

import threading

import pytest

from bench.tracking import sender as room
from bench.tracking.sender import Sender
from bench.tracking.store import Pulse, TrackingError

LONG = 120.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A pause between tries too short to notice."""
    monkeypatch.setattr(room, "LONGEST_PAUSE", 0.01)


@pytest.fixture
def sender():
    made = Sender(Pulse(starting=False))
    yield made
    made._pulse.over = True
    with made._changed:
        made._changed.notify_all()


class Gate:
    """Work that is begun and then waits to be let through."""

    def __init__(self):
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.open.wait(LONG)


def test_work_is_done_in_order_and_the_newest_of_a_key(sender):
    gate, done = Gate(), []
    sender.put("gate", gate)
    assert gate.begun.wait(LONG)
    for number in range(3):
        sender.put("a", lambda number=number: done.append(("a", number)))
        sender.put("b", lambda number=number: done.append(("b", number)))
    assert not sender.idle
    over = threading.Event()
    sender.put("over", over.set)
    gate.open.set()
    assert over.wait(LONG)
    assert done == [("a", 2), ("b", 2)]


def test_what_fails_is_tried_again(sender):
    tries, over = [], threading.Event()

    def work():
        tries.append(1)
        if len(tries) < 4:
            raise TrackingError("away")
        over.set()

    sender.put("a", work)
    assert over.wait(LONG)
    assert sender.finish(lambda: None, LONG)
    assert len(tries) == 4
    assert sender.trouble == ""


def test_what_waits_is_bounded_and_the_last_piece_is_always_done(sender, monkeypatch):
    monkeypatch.setattr(room, "MOST", 5)
    gate, done = Gate(), []
    sender.put("gate", gate)
    assert gate.begun.wait(LONG)
    for number in range(100):
        sender.put(number, lambda number=number: done.append(number))
    assert len(sender._waiting) == 5
    gate.open.set()
    assert sender.finish(lambda: done.append("last"), LONG)
    assert done[-1] == "last"
    assert len(done) <= 6


def test_no_answer_ends_the_waiting(sender):
    gate = Gate()
    assert not sender.finish(gate, patience=0.1)
    gate.open.set()


def test_answers_without_end_end_the_waiting_too(sender):
    over = threading.Event()

    def slow():
        while not over.wait(0.01):
            sender._pulse.answers += 1

    assert not sender.finish(slow, patience=LONG, most=0.3)
    over.set()


def test_two_failures_end_the_waiting_and_are_told(sender):
    tries = []

    def work():
        tries.append(1)
        raise TrackingError("away")

    assert not sender.finish(work, LONG)
    assert len(tries) == 2
    assert sender.trouble == "away"


def test_a_mistake_of_ours_is_raised_to_who_waits(sender):
    def work():
        raise ZeroDivisionError("ours")

    sender.put("a", work)
    with pytest.raises(ZeroDivisionError, match="ours"):
        sender.finish(work, LONG)
