"""Rows that are spread over files: side tables and pairs."""

from __future__ import annotations

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work

ITEMS, TRAIN, USERS = "items.csv", "train.csv", "train_users.csv"


def line(name: str, number: int, text: bytes) -> Edit:
    return lambda work: work.line(name, number, text)


def write(name: str, data: bytes) -> Edit:
    return lambda work: (work.raw / name).write_bytes(data)


def again(name: str, number: int, at: int) -> Edit:
    """A line once more, further down."""

    def corrupt(work: Work) -> None:
        work.insert(name, at, (work.raw / name).read_bytes().split(b"\n")[number - 1])

    return corrupt


def strangers(work: Work) -> None:
    work.edit(USERS, b"s", b"t")


SIDES: tuple[Entry, ...] = (
    Refused(
        "rows without the key",
        "joined",
        lambda work: work.cell("log.csv", 1, 1, b"article"),
        "cannot join items.csv: the rows have no column 'item'",
    ),
    Refused(
        "a side table with too few columns",
        "joined",
        line(ITEMS, 4, b"i2,b"),
        "{raw}/items.csv, line 4: expected 3 columns, found 2",
    ),
    Refused(
        "a side table with a number in words",
        "joined",
        line(ITEMS, 4, b"i2,b,heavy"),
        "{raw}/items.csv, line 4: 'weight': expected a number, found 'heavy'",
    ),
    Refused(
        "a side table that is not there",
        "joined",
        lambda work: (work.raw / ITEMS).unlink(),
        "shop: expected log.csv and items.csv, each as it is or with .gz or .zst, in {raw}, but items.csv is not there",
    ),
    Kept(
        "a side table with no rows",
        "joined",
        write(ITEMS, b"item,brand,weight\n"),
        write(ITEMS, b"item,brand,weight\nnone,b,1\n"),
    ),
)
PAIRS: tuple[Entry, ...] = (
    Refused(
        "a partner with a key twice",
        "pairs",
        again(USERS, 2, 9),
        "{raw}/train_users.csv, line 9: key 'search' = s1 is there twice",
    ),
    Refused(
        "no row with a partner",
        "pairs",
        strangers,
        "train.csv: no row has a partner with the same 'search' in train_users.csv",
    ),
    Refused(
        "a partner with too few columns",
        "pairs",
        line(USERS, 7, b"s6,u1"),
        "{raw}/train_users.csv, line 7: expected 3 columns, found 2",
    ),
    Refused(
        "a row of a pair with too many columns",
        "pairs",
        line(TRAIN, 7, b"s6,u1,1,0,0"),
        "{raw}/train.csv, line 7: expected 4 columns, found 5",
    ),
    Refused(
        "a row file without a partner on the card",
        "pairs",
        lambda work: work.card_edit('"test.csv" = "test_users.csv"\n', ""),
        "...'test...",
    ),
    Kept(
        "a row without a partner",
        "pairs",
        line(TRAIN, 7, b"x,i1,1,0"),
        lambda work: work.remove(TRAIN, 7),
        says="pairs: dropped 1 rows without a partner",
    ),
)
TABLE = SIDES + PAIRS
