"""The two kinds of failure: the user's mistake, and everything else (our bug)."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


class UserError(Exception):
    """A mistake the user can mend; its text is one sentence that says what was expected and what
    was found.

    The command line prints it on stderr and exits with 2. Any other exception is a bug and exits
    with 1.
    """


class TrainingError(FloatingPointError):
    """A training failed: a loss or prediction is not finite, or an objective cannot be measured."""


class TrainerError(Exception):
    """A trainer from elsewhere failed, or gave no predictions that can be used; its text is one
    sentence.
    """


def unknown(kind: str, name: str, known_names: Iterable[str]) -> UserError:
    """The error for an unknown name: suggests the nearest known one and lists all."""
    names = sorted(known_names)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean '{nearest[0]}'?)" if nearest else ""
    return UserError(f"unknown {kind} '{shortened(name)}'{hint}; known are {_first(names)}")


def _first(names: Sequence[str], limit: int = 50) -> str:
    """Names for the end of a sentence; above the limit the first, and how many follow."""
    if not names:
        return "none"
    text = ", ".join(names[:limit])
    if len(names) > limit:
        text += f" and {len(names) - limit:,} more"
    return text


def check_known(kind: str, name: str, known_names: Collection[str], where: str = "") -> None:
    """Raises the error of `unknown` for an unknown name; `where` comes first."""
    if name in known_names:
        return
    error = unknown(kind, name, known_names)
    if where:
        raise UserError(f"{where}: {error}")
    raise error


def shortened(text: str, limit: int = 120) -> str:
    """Cuts the middle out of a text that is too long for a sentence."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}..{text[-limit // 4 :]} ({len(text):,} characters)"


def missing(kind: str, wanted: str, found_names: Iterable[str]) -> UserError:
    """The error for a wanted name that is missing: suggests the nearest and lists all."""
    names = sorted(found_names)
    nearest = difflib.get_close_matches(wanted, names, n=1)
    hint = f" ('{nearest[0]}' is the nearest)" if nearest else ""
    return UserError(
        f"expected the {kind} '{wanted}', which is missing{hint}; found are {_first(names)}"
    )


def repeated(names: Iterable[T]) -> T | None:
    """The first name that occurs twice, or None."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def listed(names: Sequence[str]) -> str:
    """Joins names as in a sentence: `a`, `a and b`, `a, b and c`."""
    *before, last = names
    if not before:
        return last
    return f"{', '.join(before)} and {last}"


def adding(extra: str) -> str:
    """How to install an extra from a checkout: the package is on no index."""
    return f"in the checkout, pip install '.[{extra}]' adds it"


def count(amount: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"1 {noun}" if amount == 1 else f"{amount:,} {noun}s"
