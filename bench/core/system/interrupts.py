"""Handling of Ctrl-C and SIGTERM during work that must end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Raises KeyboardInterrupt on the first Ctrl-C and ignores later ones until the process ends.

    A second Ctrl-C must not cut short the run's shutdown (workers, MLflow). Does nothing outside
    the main thread, or where Ctrl-C was already ignored or handled.
    """
    with _once(signal.SIGINT, signal.default_int_handler, KeyboardInterrupt()):
        yield


@contextmanager
def ended_in_order() -> Iterator[None]:
    """`interrupted_once`, and SIGTERM raises SystemExit, so that open resources are closed."""
    with (
        interrupted_once(),
        _once(signal.SIGTERM, signal.SIG_DFL, SystemExit(128 + signal.SIGTERM)),
    ):
        yield


@contextmanager
def _once(number: signal.Signals, usual: Any, error: BaseException) -> Iterator[None]:
    """Raises the error on the first signal, and ignores later ones; nothing where the signal is
    handled otherwise.
    """

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise error

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(number) is not usual:
        yield
        return
    signal.signal(number, first)
    try:
        yield
    finally:
        if signal.getsignal(number) is first:
            signal.signal(number, usual)
