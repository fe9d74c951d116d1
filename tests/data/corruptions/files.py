"""Files that are empty, absent, cut or of another kind."""

from __future__ import annotations

import gzip

from corruptions import goods
from corruptions.entry import Edit, Entry, Kept, Refused, changed, write
from corruptions.work import Work


def cut(name: str, keep: float) -> Edit:
    """Keeps the first part of a file."""
    return changed(name, lambda data: data[: int(keep * len(data))])


def flip(name: str, at: int) -> Edit:
    """Turns all bits of one byte, counted from the end where `at` is negative."""

    def corrupt(work: Work) -> None:
        data = bytearray((work.raw / name).read_bytes())
        data[at] ^= 0xFF
        (work.raw / name).write_bytes(data)

    return corrupt


def append(name: str, data: bytes) -> Edit:
    """More content."""
    return changed(name, lambda own: own + data)


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
        "gzip with something behind it",
        "gzip",
        append("log.csv.gz", b"rubbish"),
        "{raw}/log.csv.gz: broken gzip file: Not a gzipped file (b'ru')",
    ),
    Refused("zstd cut in the middle", "zstd", cut("log.csv.zst", 0.5), "{raw}/log.csv.zst: broken zstd file: ..."),
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
        "a header and no rows",
        "log",
        write("log.csv", goods.HEADER.encode() + b"\n"),
        "shop: split 'train' is empty: no row falls into it",
    ),
    Refused("a folder instead of the file", "log", folder_instead, ABSENT),
    Refused("a link to nowhere", "log", dangling, ABSENT),
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
    Refused("one of several is cut gzip", "several", cut("part-2.csv.gz", 0.5), HALF.replace("log", "part-2")),
    Refused(
        "one of several lacks a column",
        "several",
        lambda work: work.cell("part-3.csv", 1, 2, b"cost"),
        "{raw}/part-3.csv: unknown raw column 'price'; known are ...",
    ),
    Kept(
        "gzip in two members",
        "gzip",
        write("log.csv.gz", gzip.compress(goods.log()[:999]) + gzip.compress(goods.log()[999:])),
    ),
    Kept("gzip padded with zeros", "gzip", append("log.csv.gz", bytes(512))),
)
