"""Rows that are spread over files: side tables, pairs, and Ali-CCP's skeleton and common files."""

from __future__ import annotations

import gzip

from corruptions.entry import Entry, Kept, Refused, changed, line, write
from corruptions.work import Work

ITEMS = "items.csv"
SKELETON, COMMON = "sample_skeleton_train.csv", "common_features_train.csv"


def dropping(work: Work) -> None:
    """A card that drops, and lines of Ali-CCP that do not fit."""
    work.card_edit('kind = "ali-ccp"', 'kind = "ali-ccp"\non_bad_row = "drop"\nbad_row_limit = 0.01')
    work.insert(SKELETON, 40, b"1,0,0,nowhere,0,", b"1,2,0,abc,0,", b"nonsense")
    work.insert(COMMON, 3, b"lost,1")


TABLE: tuple[Entry, ...] = (
    Refused(
        "rows without the key",
        "joined",
        lambda work: work.cell("log.csv", 1, 1, b"article"),
        "cannot join items.csv: the rows have no column 'item'",
    ),
    Refused(
        "a side table with a number in words",
        "joined",
        line(ITEMS, 4, b"i2,b,heavy"),
        "{raw}/items.csv, line 4: 'weight': expected a number, found 'heavy'",
    ),
    Kept(
        "a side table with no rows",
        "joined",
        write(ITEMS, b"item,brand,weight\n"),
        write(ITEMS, b"item,brand,weight\nnone,b,1\n"),
    ),
    Refused(
        "no row with a partner",
        "pairs",
        lambda work: work.edit("train_users.csv", b"s", b"t"),
        "train.csv: no row has a partner with the same 'search' in train_users.csv",
    ),
    Refused(
        "a row file without a partner on the card",
        "pairs",
        lambda work: work.card_edit('"test.csv" = "test_users.csv"\n', ""),
        "pairs: reader.partner names no partner for 'test.csv'",
    ),
    Refused(
        "a common line with too few columns",
        "ali",
        line(COMMON, 6, b"lost,1"),
        "{raw}/common_features_train.csv, line 6: expected 3 columns separated by commas, found 2",
    ),
    Refused(
        "a skeleton packed and cut",
        "ali",
        changed(SKELETON, lambda data: gzip.compress(data)[:-999]),
        "{raw}/sample_skeleton_train.csv: broken gzip file: ...",
    ),
    Kept("Ali-CCP with a byte-order mark", "ali", changed(SKELETON, lambda data: b"\xef\xbb\xbf" + data)),
    Kept(
        "dropped: lines of Ali-CCP",
        "ali",
        dropping,
        counts={"format": 3, "common index": 1},
        says="ali-ccp: dropped 4 bad rows (3 for format, 1 for common index); the first: "
        "{raw}/common_features_train.csv, line 3: expected 3 columns separated by commas, found 2",
    ),
)
