"""Which files of a folder the names on a card stand for."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bench.data.readers.raw import PACKED, unpacked_name
from bench.data.sources import is_pattern
from bench.errors import UserError


def locate(folder: Path, name: str, names: Collection[str]) -> tuple[Path, ...]:
    """The files that a name stands for: one, or all that match it, sorted, where it is a pattern; () if there is none.

    Each may be packed; of a file that is there packed and unpacked, the unpacked one counts. A pattern does not match
    files that are named by themselves.

    Args:
        names: all names on the card.

    Raises:
        UserError: two patterns match the same file.
    """
    if not is_pattern(name):
        beside = (folder / f"{name}{end}" for end in ("", *PACKED))
        return next(((path,) for path in beside if path.is_file()), ())
    found = _matching(folder, name)
    for other in names:
        if not is_pattern(other):
            found.pop(other, None)
        elif other != name and (both := found.keys() & _matching(folder, other).keys()):
            raise UserError(f"{folder / min(both)} matches both '{name}' and '{other}': each file needs one place")
    return tuple(found[key] for key in sorted(found))


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    """Name without what says that it is packed -> path."""
    found: dict[str, Path] = {}
    for end in ("", *PACKED):
        for path in folder.glob(f"{pattern}{end}"):
            key = unpacked_name(path.name)
            if path.is_file() and not path.name.startswith(".") and (key not in found or path.name == key):
                found[key] = path
    return found
