"""The corruptions: files, lines, values, cards, joins, downloads and full disks."""

import gzip
from contextlib import ExitStack
from unittest import mock

import pyarrow as pa
from corruptions import goods, small_disk
from corruptions.entry import Kept, Refused, changed, line, write

from bench.data import download

CSV, ITEMS = "log.csv", "items.csv"
SKELETON, COMMON = "sample_skeleton_train.csv", "common_features_train.csv"
PRICE, BUY = 2, 7


def cut(name, keep):
    """Keeps the first part of a file."""
    return changed(name, lambda data: data[: int(keep * len(data))])


def flip(name, at):
    """Turns all bits of one byte."""
    return changed(name, lambda data: data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])


FILES = (
    Refused(
        "gzip with something behind it",
        "gzip",
        changed("log.csv.gz", lambda data: data + b"rubbish"),
        "{raw}/log.csv.gz: broken gzip file: Not a gzipped file (b'ru')",
    ),
    Refused("parquet cut", "parquet", cut("log.parquet", 0.5), "{raw}/log.parquet: not a parquet file: ..."),
    Refused(
        "parquet with a wrong byte in a page",
        "parquet",
        flip("log.parquet", 60),
        "{raw}/log.parquet, row 9: 'user': expected UTF-8 text",
    ),
    Kept(
        "gzip in two members",
        "gzip",
        write("log.csv.gz", gzip.compress(goods.log()[:999]) + gzip.compress(goods.log()[999:])),
    ),
)


LINES = (
    Refused(
        "too few columns behind empty lines",
        "log",
        lambda work: work.insert(CSV, 5, b"", b"", b"u1,i1,2.5"),
        "{raw}/log.csv, line 7: expected 10 columns, found 3",
    ),
    Kept("no newline at the end", "log", changed(CSV, lambda data: data[:-1])),
    Kept("empty lines at the end", "log", changed(CSV, lambda data: data + b"\n\r\n")),
)


def late(work):
    """Every row of test is a bad one."""
    work.card_edit("bad_row_limit = 0.05", "bad_row_limit = 0.5")
    for day in (b"18", b"19", b"20"):
        work.edit(CSV, b"," + day + b",", b",late,")


def no_purchase(work):
    for number in range(142, 172):  # validation
        work.cell(CSV, number, BUY, b"0")


def beyond(work):
    for user in range(10):
        work.edit(CSV, f"\nu{user},".encode(), f"\n9999999999999999999{user},".encode())


def prices(values):
    """The prices of the parquet file, the first three of them replaced."""

    def corrupt(work):
        rows = goods.table()
        column = pa.array([*values, *rows["price"].to_pylist()[3:]])
        goods.write_parquet(work.raw, rows.set_column(rows.column_names.index("price"), "price", column))

    return corrupt


VALUES = (
    Refused(
        "dropped: all rows of a split", "drops", late, "shop: split 'test' is empty: 'day' runs from 1 to 17 in log.csv"
    ),
    Refused(
        "no positives in a split",
        "log",
        no_purchase,
        "shop: task 'buy' needs both classes in split 'valid' (half of validation), but 0 of 18 are positive",
    ),
    Kept(
        "beyond the largest number",
        "log",
        lambda work: work.cell(CSV, 50, PRICE, b"1e999"),
        lambda work: work.cell(CSV, 50, PRICE, b""),
    ),
    Kept("ids beyond int64 that differ in the last digit", "log", beyond, equal="train/*.npy"),
    Kept(
        "null, NaN and infinite in parquet",
        "parquet",
        prices([None, float("nan"), float("inf")]),
        prices([None, None, None]),
    ),
)


def another(work):
    """Both stores stay."""
    work.card_edit('title = "A shop"', 'title = "Another shop"')
    work.card_edit('item = "categorical"\n', "")


def dropping(work):
    """A card that drops, and lines of Ali-CCP that do not fit."""
    work.card_edit('kind = "ali-ccp"', 'kind = "ali-ccp"\non_bad_row = "drop"\nbad_row_limit = 0.01')
    work.insert(SKELETON, 40, b"1,0,0,nowhere,0,", b"1,2,0,abc,0,", b"nonsense")
    work.insert(COMMON, 3, b"lost,1")


CARDS_AND_JOINS = (
    Kept("another card of the same id", "log", another, another),
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
    Kept(
        "dropped: lines of Ali-CCP",
        "ali",
        dropping,
        counts={"format": 3, "common index": 1},
        says="ali-ccp: dropped 4 bad rows (3 for format, 1 for common index); the first: "
        "{raw}/common_features_train.csv, line 3: expected 3 columns separated by commas, found 2",
    ),
)


COULD_NOT = (
    "shop: could not get log.csv ({{url}}/log.csv.gz: {}): put log.csv from https://example.org into a folder, each as "
    "it is or with .gz or .zst, and pass it with --raw DIR, or use synthetic-funnel, which needs no network"
)
PARTS = ("raw/shop", "raw/shop/downloads", "raw/shop/downloads/*-log.csv.gz.part")
"""What a later call goes on from."""


def at_once(work):
    """No waiting between tries."""
    return mock.patch.object(download.time, "sleep")


def fetched_anew(change):
    """The fetched file is gone, and another recipe, which makes the same arrays, asks for it again."""

    def corrupt(work):
        for path in (work.home / "raw" / "shop").iterdir():
            path.unlink()
        work.card_edit('["spend"]', '["spend", "plan"]')
        change(work)

    return corrupt


def cuts(*sizes):
    """Connections that end after these numbers of bytes."""
    return fetched_anew(lambda work: setattr(work.server, "cuts", list(sizes)))


DOWNLOADS = (
    Refused(
        "an interrupted download",
        goods.REMOTE,
        cuts(500, *[0] * 9),
        COULD_NOT.format("the connection ended early"),
        at_once,
        PARTS,
    ),
    Kept(
        "a file of one's own that is not the published one",
        "log",
        lambda work: work.card_edit('name = "log.csv"', f'name = "log.csv"\nsha256 = "{"0" * 64}"'),
        says="{raw}/log.csv differs from the published file; results will not compare with others'",
    ),
)


def anew(work):
    """Another recipe, which makes the same arrays."""
    work.card_edit("[columns]", "[encoding]\nseed = 1\n\n[columns]")


def ali_anew(work):
    work.card_edit("min_count = 2", "min_count = 2\nseed = 1")


def full(good, change, size, where, leaves=()):
    def during(work):
        stack = ExitStack()
        stack.enter_context(small_disk.room(work.home, size))
        stack.enter_context(at_once(work))
        return stack

    says = f"{{home}}/{where}: cannot be written: No space left on device"
    return Refused(f"a disk with {size} bytes left: {good}", good, change, says, during, leaves)


DISKS = (
    full("log", anew, 0, "raw/digests.json"),
    *(full("log", anew, size, "store/shop/...") for size in (700, 6_000, 16_000)),
    *(full("ali", ali_anew, size, "store/ali-ccp/...") for size in (8_000, 200_000)),
    full(goods.REMOTE, fetched_anew(lambda work: None), 300, "raw/shop/downloads/...", PARTS),
)

TABLE = (*FILES, *LINES, *VALUES, *CARDS_AND_JOINS, *DOWNLOADS, *DISKS)
