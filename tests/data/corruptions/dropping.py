"""Cards that say `on_bad_row = "drop"`: bad rows are left out and counted, up to a limit."""

from __future__ import annotations

from corruptions import ali_ccp
from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.lines import LONG, SHORT
from corruptions.work import Work

LOG = "log.csv"
BAD = (
    SHORT,
    b"u1,i1,dear,a,1,100,0,0,1,free",
    b"u1,i1,1,a,1,100,2,0,1,free",
    b"u\xff,i1,1,a,1,100,0,0,1,free",
    b"u1,i1,1,a,yesterday,100,0,0,1,free",
)
"""A bad row of each kind."""


def with_lines(*lines: bytes, at: int = 40) -> Edit:
    """Bad lines among the good ones."""
    return lambda work: work.insert(LOG, at, *lines)


def dropped(rows: int, reasons: str, first: str) -> str:
    return f"shop: dropped {rows} bad rows ({reasons}); the first: {{raw}}/log.csv, line {first}"


def kept(name: str, line: bytes, reason: str, what: str) -> Kept:
    return Kept(
        f"dropped: {name}", "drops", with_lines(line, line), counts={reason: 2},
        says=dropped(2, f"2 for {reason}", f"40: {what}"),
    )  # fmt: skip


def too_many(work: Work) -> None:
    work.insert(LOG, 40, *[SHORT, BAD[1]] * 6)


def ali(work: Work) -> None:
    """The card that drops, and lines of Ali-CCP that do not fit."""
    work.card_edit('kind = "ali-ccp"', 'kind = "ali-ccp"\non_bad_row = "drop"\nbad_row_limit = 0.01')
    work.insert(ali_ccp.SKELETON, 40, b"1,0,0,nowhere,0,", b"1,2,0,abc,0,", b"nonsense")
    work.insert(ali_ccp.COMMON, 3, b"lost,1")


def all_kinds(work: Work) -> None:
    for at, line in enumerate(BAD):
        work.insert(LOG, 40 + 9 * at, line)


def late(work: Work) -> None:
    work.card_edit("bad_row_limit = 0.05", "bad_row_limit = 0.5")
    for day in (b"18", b"19", b"20"):
        work.edit(LOG, b"," + day + b",", b",late,")


TABLE: tuple[Entry, ...] = (
    kept("too few columns", SHORT, "columns", "expected 10 columns, found 3"),
    kept("too many columns", LONG, "columns", "expected 10 columns, found 11"),
    kept("a number in words", BAD[1], "number", "'price': expected a number, found 'dear'"),
    kept("a label of 2", BAD[2], "label", "'click', the label of task 'click': expected 0 or 1, found '2'"),
    kept("bytes that are not UTF-8", BAD[3], "bytes", "'user': expected UTF-8 text"),
    kept("a time that does not parse", BAD[4], "number", "'day': expected a number, found 'yesterday'"),
    Kept(
        "dropped: a row of each kind", "drops", all_kinds, counts={"columns": 1, "bytes": 1, "number": 2, "label": 1},
        says=dropped(5, "1 for columns, 1 for bytes, 2 for number, 1 for label", "40: expected 10 columns, found 3"),
    ),
    Kept(
        "dropped: lines of Ali-CCP", "ali", ali, counts={"format": 3, "common index": 1},
        says="ali-ccp: dropped 4 bad rows (3 for format, 1 for common index); the first: "
        "{raw}/common_features_train.csv, line 3: expected 3 columns separated by commas, found 2",
    ),
    Refused(
        "dropped: more than the card allows", "drops", too_many,
        "shop: 12 of 212 rows are bad, more than bad_row_limit = 0.05 allows; the first: "
        "{raw}/log.csv, line 40: expected 10 columns, found 3",
    ),
    Refused(
        "dropped: all rows of a split", "drops", late,
        "shop: split 'test' is empty: 'day' runs from 1 to 17 in log.csv",
    ),
    Refused(
        "dropped: a limit of nothing", "drops", lambda work: work.card_edit("limit = 0.05", "limit = 0"),
        "{card}: reader.bad_row_limit: expected a number greater than 0, found 0",
    ),
)  # fmt: skip
