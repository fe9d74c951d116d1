"""Cards that contradict themselves or their files."""

from __future__ import annotations

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work


def edit(old: str, new: str) -> Edit:
    return lambda work: work.card_edit(old, new)


def another(work: Work) -> None:
    """Both stores stay."""
    work.card_edit('title = "A shop"', 'title = "Another shop"')
    work.card_edit('item = "categorical"\n', "")


TABLE: tuple[Entry, ...] = (
    Refused("an id with blanks", "log", edit('id = "shop"', 'id = "a shop"'), "{card}: id: ..., found 'a shop'"),
    Kept("another card of the same id", "log", another, another),
    Refused(
        "a limit of no bad row",
        "drops",
        edit("limit = 0.05", "limit = 0"),
        "{card}: reader.bad_row_limit: expected a number greater than 0, found 0",
    ),
    Refused("an empty card", "log", lambda work: work.card.write_bytes(b""), "{card}: missing key 'id'..."),
)
