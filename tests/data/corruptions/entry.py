"""The parts of the table's entries."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from corruptions.work import Work

Edit = Callable[[Work], object]


def nothing(work):
    """The good data as it is."""


def write(name, data):
    """Other content of a raw file."""
    return lambda work: (work.raw / name).write_bytes(data)


def changed(name, change):
    """The content of a raw file changed by a function."""
    return lambda work: (work.raw / name).write_bytes(change((work.raw / name).read_bytes()))


def line(name, number, text):
    """Another line of a raw file."""
    return lambda work: work.line(name, number, text)


@dataclass(frozen=True)
class Refused:
    """A corruption that is answered with one sentence.

    Attributes:
        good: name of the data set that is spoilt.
        corrupt: spoils it.
        says: the whole sentence; `...` stands for anything, `{raw}`, `{card}`, `{home}`, `{url}` for where these are.
        during: what is in force while it is prepared.
        leaves: names under the home that stay on purpose, as patterns.
    """

    name: str
    good: str
    corrupt: Edit
    says: str
    during: Callable[[Work], AbstractContextManager[object]] = field(default=lambda work: nullcontext())
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A corruption that is lived with: the store is that of other, good data.

    Attributes:
        like: makes the good data out of the original.
        counts: bad rows that are dropped, by reason.
        says: what is said of it on stderr, as in `Refused`.
        equal: the files of the store that are compared, as a pattern.
    """

    name: str
    good: str
    corrupt: Edit
    like: Edit = nothing
    counts: dict[str, int] = field(default_factory=dict)
    says: str = ""
    equal: str = "*"


def matches(says, text, work):
    """Whether a text is what an entry says."""
    places = {"raw": work.raw, "card": work.card, "home": work.home, "url": getattr(work.server, "url", "")}
    for name, place in places.items():
        says = says.replace(f"{{{name}}}", str(place))
    return re.fullmatch(re.escape(says).replace(re.escape("..."), ".+"), text) is not None
