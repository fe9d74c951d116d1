"""Small good data sets, one for each way in: the raw files, and the text of the card."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

from bench.data.synthetic import synthesise
from bench.system import content

REMOTE = "remote"
HEADER = "user,item,price,tags,day,hour,click,buy,spend,plan"
ROWS = 200


def log():
    """A log: row i is line i + 2; ten rows a day, every third is a click, every sixth a purchase."""
    lines = [HEADER]
    for i in range(ROWS):
        tags = "a|b|c"[: i % 6]
        lines.append(
            f"u{i % 10},i{i % 7},{i * 0.5},{tags},{1 + i // 10},{i % 24}00,{int(i % 3 == 0)},{int(i % 6 == 0)},"
            f"{i % 5}.25,{'free' if i % 2 else 'paid'}"
        )
    return "\n".join(lines).encode() + b"\n"


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


def plain(raw):
    (raw / "log.csv").write_bytes(log())
    return CARD


def ali(raw):
    raw.rmdir()
    size = {"rows": 2000, "users": 100, "items": 100, "list_length": 4, "click_rate": 0.3, "buy_rate": 0.4}
    synthesise("ali-ccp", raw, size)
    for truth in raw.glob("*.npy"):
        truth.unlink()
    card = (content.root("datasets") / "ali-ccp" / "card.toml").read_text(encoding="utf-8")
    return card.replace("valid_fraction = 0.1", "valid_fraction = 0.4").replace("min_count = 10", "min_count = 2")


GOODS: dict[str, Callable[[Path], str]] = {"log": plain, "ali": ali}


def serve(server):
    """The log, from a server that behaves."""
    server.files, server.cuts, server.failures = {"/log.csv.gz": gzip.compress(log(), mtime=0)}, [], []


def remote(server):
    """A card of the log at a server, pinned."""
    pinned = f'name = "log.csv"\nsha256 = "{hashlib.sha256(log()).hexdigest()}"'
    source = f'[[sources]]\nkind = "url"\nurls = {{ "log.csv" = "{server.url}/log.csv.gz" }}\n\n'
    return CARD.replace('name = "log.csv"', pinned).replace("[split]", source + "[split]")
