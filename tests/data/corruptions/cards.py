"""Cards that contradict themselves or their files."""

from __future__ import annotations

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work


def edit(old: str, new: str) -> Edit:
    return lambda work: work.card_edit(old, new)


BUY = 'column = "buy"\nparent = "click"'


def another(work: Work) -> None:
    """Both stores stay."""
    work.card_edit('title = "A shop"', 'title = "Another shop"')
    work.card_edit('item = "categorical"\n', "")


TABLE: tuple[Entry, ...] = (
    Refused(
        "a key that is not known",
        "log",
        edit("[reader]\n", '[reader]\nseperator = ";"\n'),
        "{card}: unknown key 'reader.seperator' (did you mean 'reader.separator'?); known are ...",
    ),
    Refused("a key that is missing", "log", edit('licence = "none"\n', ""), "{card}: missing key 'licence'"),
    Refused(
        "a column that the file does not have",
        "log",
        edit('price = "numeric"', 'prise = "numeric"'),
        "{raw}/log.csv: unknown raw column 'prise' (did you mean 'price'?); known are ...",
    ),
    Refused(
        "a group that the file does not have",
        "log",
        edit('group = "user"', 'group = "session"'),
        "{raw}/log.csv: unknown raw column 'session'; known are ...",
    ),
    Refused(
        "two inputs that would be called the same",
        "log",
        lambda work: work.card_edit('price = "numeric"', 'price = "numeric"\nprice_bucket = "categorical"'),
        "...",
    ),
    Refused(
        "a value in two splits",
        "columns",
        edit('valid = ["valid"]', 'valid = ["train"]'),
        "{card}: split: 'train' is named twice",
    ),
    Refused("an id with blanks", "log", edit('id = "shop"', 'id = "a shop"'), "{card}: id: ..., found 'a shop'"),
    Kept("another card of the same id", "log", another, another),
    Refused(
        "broken TOML",
        "log",
        edit('title = "A shop"', 'title = "A shop'),
        "{card}: not valid TOML: ... (at line 2, column ...)",
    ),
    Refused(
        "a key twice",
        "log",
        edit('title = "A shop"', 'title = "A shop"\ntitle = "Another"'),
        "{card}: not valid TOML: ... (at line 3, column ...)",
    ),
    Refused(
        "a card that is not UTF-8",
        "log",
        lambda work: work.card.write_bytes(work.card.read_bytes().replace(b"A shop", b"A caf\xe9")),
        "{card}: expected UTF-8 text, found byte 0xe9 at offset ...",
    ),
    Refused("an empty card", "log", lambda work: work.card.write_bytes(b""), "{card}: missing key 'id'..."),
    Refused("no card", "log", lambda work: work.card.unlink(), "dataset file not found: {card}"),
)
