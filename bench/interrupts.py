"""Ctrl-C and the request to end, while something works that must be left in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupted_once() -> Iterator[None]:
    """The first Ctrl-C is a KeyboardInterrupt; from then on they are ignored, to the end of this process.

    What a run does to stop (workers ended, MLflow told) must not be cut short by an impatient second one. Outside of
    the main thread, which alone hears of Ctrl-C, this does nothing; nor where it was ignored from the start.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _first)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _first:
            signal.signal(signal.SIGINT, before)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """As `interrupted_once`; and a request to end (SIGTERM) is a SystemExit, so that what is open is closed."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    with interrupted_once():
        if not main or before is not signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, _end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _first(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
