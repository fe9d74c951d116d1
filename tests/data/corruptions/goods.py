"""Small good data sets, one for each way in: the raw files, and the text of the card."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from corruptions import formats

REMOTE = "remote"
HEADER = "user,item,price,tags,day,hour,click,buy,spend,plan"
ROWS = 200


def log() -> bytes:
    """A log: row i is line i + 2; ten rows a day, every third is a click, every sixth a purchase."""
    lines = [HEADER]
    for i in range(ROWS):
        tags = "a|b|c"[: i % 6]
        lines.append(
            f"u{i % 10},i{i % 7},{i * 0.5},{tags},{1 + i // 10},{i % 24}00,{int(i % 3 == 0)},{int(i % 6 == 0)},"
            f"{i % 5}.25,{'free' if i % 2 else 'paid'}"
        )
    return "\n".join(lines).encode() + b"\n"


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


CARD = """\
id = "shop"
title = "A shop"
licence = "none"
citation = "none"
homepage = "https://example.org"
group = "user"
time = "day"
post_exposure = ["spend"]

[reader]
kind = "csv"

[[files]]
name = "log.csv"

[split]
kind = "time"
train = { last = 14 }
valid = { first = 15, last = 17 }
test = { first = 18 }

[[tasks]]
name = "click"
column = "click"

[[tasks]]
name = "buy"
column = "buy"
parent = "click"

[[tasks]]
name = "spend"
column = "spend"
kind = "regression"
optional = true

[[tasks]]
name = "paying"
column = "plan"
positive = ["paid"]
negative = ["free"]
optional = true

[columns]
user = "categorical"
item = "categorical"
price = "numeric"
tags = { kind = "multi-valued", separator = "|" }
hour = { kind = "categorical", derive = "hour_of_hhmm" }
"""
NAMES = ", ".join(f'"{name}"' for name in HEADER.split(","))


def plain(raw: Path) -> str:
    (raw / "log.csv").write_bytes(log())
    return CARD


def gzipped(raw: Path) -> str:
    (raw / "log.csv.gz").write_bytes(gzip.compress(log(), mtime=0))
    return CARD


def zstandard(raw: Path) -> str:
    (raw / "log.csv.zst").write_bytes(zstd(log()))
    return CARD


def tabs(raw: Path) -> str:
    """Tab-separated, without a header: row i is line i + 1."""
    (raw / "log.tsv").write_bytes(log().partition(b"\n")[2].replace(b",", b"\t"))
    reader = f'kind = "csv"\nseparator = "\\t"\ncolumns = [{NAMES}]'
    return CARD.replace('kind = "csv"', reader).replace("log.csv", "log.tsv")


def parquet(raw: Path) -> str:
    write_parquet(raw, table())
    return CARD.replace('kind = "csv"', 'kind = "parquet"').replace("log.csv", "log.parquet")


def table() -> Any:
    """The log as an Arrow table."""
    return pacsv.read_csv(io.BytesIO(log()))


def write_parquet(raw: Path, rows: Any) -> None:
    pq.write_table(rows, raw / "log.parquet", row_group_size=64)


def several(raw: Path) -> str:
    """The log in three files, each with its header, that one pattern stands for."""
    header, *lines = log().splitlines(keepends=True)
    for name, start, pack in (
        ("part-1.csv", 0, bytes),
        ("part-2.csv.gz", 70, gzip.compress),
        ("part-3.csv", 140, bytes),
    ):
        (raw / name).write_bytes(pack(header + b"".join(lines[start : start + 70])))
    return CARD.replace("log.csv", "part-*.csv")


def joined(raw: Path) -> str:
    """The log beside a table of items."""
    (raw / "log.csv").write_bytes(log())
    items = [f"i{i},brand{i % 3},{i}.5" for i in range(6)]  # item 6 is not there: its rows lack brand and weight
    (raw / "items.csv").write_text("\n".join(["item,brand,weight", *items]) + "\n")
    card = CARD.replace('kind = "csv"', 'kind = "csv"\njoins = [{ file = "items.csv", on = "item" }]')
    card = card.replace('name = "log.csv"', 'name = "log.csv"\n[[files]]\nname = "items.csv"')
    return card + 'brand = "categorical"\nweight = "numeric"\n'


def drops(raw: Path) -> str:
    return plain(raw).replace('kind = "csv"', 'kind = "csv"\non_bad_row = "drop"\nbad_row_limit = 0.05', 1)


def columns(raw: Path) -> str:
    """The log, assigned to splits by a column that says where each row belongs."""
    lines = log().decode().splitlines()
    part = ["part", *("train" if i < 140 else "valid" if i < 170 else "test" for i in range(ROWS))]
    (raw / "log.csv").write_text("".join(f"{line},{name}\n" for line, name in zip(lines, part, strict=True)))
    start, end = CARD.index("[split]"), CARD.index("[[tasks]]")
    split = '[split]\nkind = "column"\ncolumn = "part"\ntrain = ["train"]\nvalid = ["valid"]\ntest = ["test"]\n\n'
    return CARD[:start] + split + CARD[end:]


GOODS: dict[str, Callable[[Path], str]] = {
    "log": plain,
    "gzip": gzipped,
    "zstd": zstandard,
    "tabs": tabs,
    "parquet": parquet,
    "several": several,
    "joined": joined,
    "drops": drops,
    "columns": columns,
    "pairs": formats.pairs,
    "films": formats.films,
    "ali": formats.ali,
}


def serve(server: Any) -> None:
    """The log, from a server that behaves."""
    server.files, server.cuts, server.failures = {"/log.csv.gz": gzip.compress(log(), mtime=0)}, [], []


def remote(server: Any) -> str:
    """A card of the log at a server, pinned."""
    pinned = f'name = "log.csv"\nsha256 = "{hashlib.sha256(log()).hexdigest()}"'
    source = f'[[sources]]\nkind = "url"\nurls = {{ "log.csv" = "{server.url}/log.csv.gz" }}\n\n'
    return CARD.replace('name = "log.csv"', pinned).replace("[split]", source + "[split]")
