"""Files that are empty, absent, cut or of another kind."""

from __future__ import annotations

import gzip
import shutil

from corruptions import goods
from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work


def cut(name: str, keep: float) -> Edit:
    """Keeps the first part of a file."""

    def corrupt(work: Work) -> None:
        path = work.raw / name
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    return corrupt


def flip(name: str, at: int) -> Edit:
    """Turns all bits of one byte, counted from the end where `at` is negative."""

    def corrupt(work: Work) -> None:
        data = bytearray((work.raw / name).read_bytes())
        data[at] ^= 0xFF
        (work.raw / name).write_bytes(data)

    return corrupt


def write(name: str, data: bytes) -> Edit:
    """Other content."""
    return lambda work: (work.raw / name).write_bytes(data)


def append(name: str, data: bytes) -> Edit:
    """More content."""
    return lambda work: (work.raw / name).write_bytes((work.raw / name).read_bytes() + data)


def remove(name: str) -> Edit:
    return lambda work: (work.raw / name).unlink()


def folder_instead(work: Work) -> None:
    (work.raw / "log.csv").unlink()
    (work.raw / "log.csv").mkdir()


def dangling(work: Work) -> None:
    (work.raw / "log.csv").unlink()
    (work.raw / "log.csv").symlink_to(work.raw / "nowhere")


ABSENT = "shop: expected log.csv, each as it is or with .gz or .zst, in {raw}, but log.csv is not there"
HALF = "{raw}/log.csv.gz: broken gzip file: Compressed file ended before the end-of-stream marker was reached"

TABLE: tuple[Entry, ...] = (
    Refused("gzip cut in the middle", "gzip", cut("log.csv.gz", 0.5), HALF),
    Refused(
        "gzip with another checksum",
        "gzip",
        flip("log.csv.gz", -6),
        "{raw}/log.csv.gz: broken gzip file: CRC check failed ...",
    ),
    Refused(
        "gzip with a wrong byte inside", "gzip", flip("log.csv.gz", 100), "{raw}/log.csv.gz: broken gzip file: ..."
    ),
    Refused(
        "gzip with something behind it",
        "gzip",
        append("log.csv.gz", b"rubbish"),
        "{raw}/log.csv.gz: broken gzip file: Not a gzipped file (b'ru')",
    ),
    Refused("zstd cut in the middle", "zstd", cut("log.csv.zst", 0.5), "{raw}/log.csv.zst: broken zstd file: ..."),
    Refused(
        "zstd with a wrong byte inside", "zstd", flip("log.csv.zst", 8), "{raw}/log.csv.zst: broken zstd file: ..."
    ),
    Refused(
        "zstd with something behind it",
        "zstd",
        append("log.csv.zst", b"rubbish"),
        "{raw}/log.csv.zst: broken zstd file: ...",
    ),
    Refused(
        "an empty file",
        "log",
        write("log.csv", b""),
        "{raw}/log.csv: expected rows, found an empty file",
    ),
    Refused(
        "an empty file without header",
        "tabs",
        write("log.tsv", b""),
        "{raw}/log.tsv: expected rows, found an empty file",
    ),
    Refused(
        "an empty file of double colons",
        "films",
        write("ratings.dat", b""),
        "{raw}/ratings.dat: expected rows, found an empty file",
    ),
    Refused("a header and no rows", "log", write("log.csv", goods.HEADER.encode() + b"\n"), "..."),
    Refused("no such file", "log", remove("log.csv"), ABSENT),
    Refused("a folder instead of the file", "log", folder_instead, ABSENT),
    Refused("a link to nowhere", "log", dangling, ABSENT),
    Refused(
        "no raw folder",
        "log",
        lambda work: shutil.rmtree(work.raw),
        "shop: expected a folder with log.csv, found none at {raw}",
    ),
    Refused(
        "text instead of parquet",
        "parquet",
        write("log.parquet", goods.log()),
        "{raw}/log.parquet: not a parquet file: ...",
    ),
    Refused(
        "parquet cut in the middle", "parquet", cut("log.parquet", 0.5), "{raw}/log.parquet: not a parquet file: ..."
    ),
    Refused(
        "parquet with a wrong byte in a page's header",
        "parquet",
        flip("log.parquet", 4),
        "{raw}/log.parquet: broken parquet file: ...",
    ),
    Refused(
        "parquet with a wrong byte in a page",
        "parquet",
        flip("log.parquet", 60),
        "{raw}/log.parquet, row 9: 'user': expected UTF-8 text",
    ),
    Refused(
        "parquet instead of text",
        "log",
        lambda work: goods.parquet(work.raw) and (work.raw / "log.parquet").rename(work.raw / "log.csv"),
        "{raw}/log.csv, line 1: expected UTF-8 text",
    ),
    Refused(
        "UTF-16",
        "log",
        write("log.csv", goods.log().decode().encode("utf-16")),
        "{raw}/log.csv, line 1: expected UTF-8 text",
    ),
    Refused(
        "no file that matches",
        "several",
        lambda work: [path.unlink() for path in work.raw.iterdir()],
        "shop: expected part-*.csv, each as it is or with .gz or .zst, in {raw}, but part-*.csv matches no file",
    ),
    Refused("one of several is cut gzip", "several", cut("part-2.csv.gz", 0.5), HALF.replace("log", "part-2")),
    Refused(
        "one of several lacks a column",
        "several",
        lambda work: work.cell("part-3.csv", 1, 2, b"cost"),
        "{raw}/part-3.csv: unknown raw column 'price'; known are ...",
    ),
    Refused(
        "two patterns for one file",
        "several",
        lambda work: work.card_edit('name = "part-*.csv"', 'name = "part-*.csv"\n[[files]]\nname = "*-3.csv"'),
        "{raw}/part-3.csv matches both 'part-*.csv' and '*-3.csv': each file needs one place",
    ),
    Kept("packed, and named as if not", "log", lambda work: write("log.csv", gzip.compress(goods.log()))(work)),
    Kept(
        "gzip in two members",
        "gzip",
        write("log.csv.gz", gzip.compress(goods.log()[:999]) + gzip.compress(goods.log()[999:])),
    ),
    Kept("gzip padded with zeros", "gzip", append("log.csv.gz", bytes(512))),
    Kept(
        "zstd in two frames",
        "zstd",
        write("log.csv.zst", goods.zstd(goods.log()[:999]) + goods.zstd(goods.log()[999:])),
    ),
)
