"""The one place that makes a verdict of an estimate and its uncertainty."""

from __future__ import annotations

from typing import Literal

SIZE = 0.05
"""Error rate of a verdict."""
CANNOT_TELL = "cannot tell"

Word = Literal["yes", "no", "cannot tell", "cannot say"]


def against(margin: float, low: float, high: float) -> Word:
    """Whether a value lies beyond a margin, by bounds of which each fails with probability `SIZE` at most."""
    if low > margin:
        return "yes"
    return "no" if high < margin else "cannot tell"


def better(left: str, right: str, merit: float, p: float | None, doubt: str = "") -> str:
    """Which of two is better, by an adjusted p-value.

    Args:
        merit: left's less right's, larger is better.
        p: None where there is none.
        doubt: why it cannot be told, where it cannot.
    """
    if p is not None and p < SIZE:
        return f"{left if merit > 0 else right} is better"
    return f"{CANNOT_TELL}: {doubt}" if doubt else CANNOT_TELL
