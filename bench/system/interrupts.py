"""Handling of Ctrl-C and SIGTERM during work that must end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Raises KeyboardInterrupt on the first Ctrl-C and ignores later ones until the process ends.

    A second Ctrl-C must not cut short the run's shutdown (workers, MLflow). Does nothing outside the main thread, or
    where Ctrl-C was already ignored or handled.
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
    """`interrupted_once`, and SIGTERM raises SystemExit, so that open resources are closed."""
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
