"""Shows something again and again while it changes: in one place on a terminal, as a new block elsewhere."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from typing import TypeVar

from rich.live import Live
from rich.text import Text

PAUSE = 2.0
"""Seconds between two looks; ten times as long as a look takes, where that is more."""

T = TypeVar("T")


def watch(look: Callable[[], T], show: Callable[[T], None], going: Callable[[], bool]) -> None:
    """Looks and shows until nothing goes on any more; what there is then is shown, too.

    Args:
        look: gives what is to be shown; equal values are shown once where there is no terminal.
        show: prints it.
        going: whether it may still change.
    """
    with Live(auto_refresh=False) if sys.stdout.isatty() else nullcontext() as live:
        before: T | None = None
        while True:
            goes_on, began = going(), time.monotonic()  # asked first: what is shown last is how it ended
            found = look()
            if live is not None:
                live.update(Text.from_ansi(_printed(show, found)), refresh=True)
            elif found != before:
                show(found)
                sys.stdout.flush()
            before = found
            if not goes_on:
                return
            time.sleep(max(PAUSE, 10 * (time.monotonic() - began)))


class _Terminal(io.StringIO):
    """Collects text that is formatted as for the terminal."""

    def isatty(self) -> bool:
        return True


def _printed(show: Callable[[T], None], found: T) -> str:
    with redirect_stdout(_Terminal()) as out:
        show(found)
    return out.getvalue().rstrip("\n")
