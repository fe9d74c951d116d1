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


def unknown(what: str, found: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name: suggests the nearest known one and lists all."""
    names = sorted(known)
    near = difflib.get_close_matches(found, names, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return UserError(f"unknown {what} '{shortened(found)}'{hint}; known are {_some(names)}")


def _some(names: Sequence[str], most: int = 50) -> str:
    """Names for the end of a sentence; of more than `most` the first, and how many more there
    are.
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "none"


def check_known(what: str, found: str, known: Collection[str], where: str = "") -> None:
    """Raises the error of `unknown` for an unknown name; `where` comes first."""
    if found not in known:
        raise UserError(
            f"{where}: {unknown(what, found, known)}" if where else str(unknown(what, found, known))
        )


def shortened(text: str, most: int = 120) -> str:
    """Cuts the middle out of a text that is too long for a sentence."""
    return (
        text
        if len(text) <= most
        else f"{text[: most // 2]}..{text[-most // 4 :]} ({len(text):,} characters)"
    )


def missing(what: str, wanted: str, found: Iterable[str]) -> UserError:
    """The error for a wanted name that is missing: suggests the nearest and lists all."""
    names = sorted(found)
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f" ('{near[0]}' is the nearest)" if near else ""
    return UserError(
        f"expected the {what} '{wanted}', which is missing{hint}; found are {_some(names)}"
    )


def repeated(names: Iterable[T]) -> T | None:
    """The first name that occurs twice, or None."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def listed(names: Sequence[str]) -> str:
    """Joins names as in a sentence: `a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def adding(extra: str) -> str:
    """How to install an extra from a checkout: the package is on no index."""
    return f"in the checkout, pip install '.[{extra}]' adds it"


def count(amount: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"
