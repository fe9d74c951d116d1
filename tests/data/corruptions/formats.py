"""Good data sets in formats of their own: pairs of files, double colons, Ali-CCP."""

from __future__ import annotations

from pathlib import Path

from bench.data.synthetic import synthesise
from bench.system import content

PAIRS = """\
id = "pairs"
title = "Pairs of files"
licence = "none"
citation = "none"
homepage = "https://example.org"
group = "search"

[reader]
kind = "pairs"
on = "search"
columns = ["search", "item", "price", "click"]
partner_columns = ["search", "user", "age"]
[reader.partner]
"train.csv" = "train_users.csv"
"test.csv" = "test_users.csv"

[[files]]
name = "train.csv"
[[files]]
name = "train_users.csv"
[[files]]
name = "test.csv"
[[files]]
name = "test_users.csv"

[split]
kind = "files"
train = ["train.csv"]
test = ["test.csv"]
valid_fraction = 0.3
unit = "group"

[[tasks]]
name = "click"
column = "click"

[columns]
item = "categorical"
price = "numeric"
user = "categorical"
age = "numeric"
"""


def pairs(raw: Path) -> str:
    for name, rows in (("train", 120), ("test", 60)):
        lines = [f"s{i // 4},i{i % 7},{i * 0.5},{int(i % 3 == 0)}\n" for i in range(rows)]
        (raw / f"{name}.csv").write_text("".join(lines))
        (raw / f"{name}_users.csv").write_text("".join(f"s{i},u{i % 5},{20 + i}\n" for i in range(rows // 4)))
    return PAIRS


FILMS = """\
id = "films"
title = "Films"
licence = "none"
citation = "none"
homepage = "https://example.org"

[reader]
kind = "double-colon"
columns = ["user", "film", "rating"]

[[files]]
name = "ratings.dat"

[split]
kind = "random"
valid = 0.3
test = 0.3

[[tasks]]
name = "like"
column = "rating"
positive = [4, 5]
negative = [1, 2, 3]

[columns]
user = "categorical"
film = "categorical"
"""


def films(raw: Path) -> str:
    lines = [f"{i % 9}::{i % 11}::{1 + i * 7 % 5}\n" for i in range(150)]
    (raw / "ratings.dat").write_text("".join(lines))
    return FILMS


def ali(raw: Path) -> str:
    raw.rmdir()
    size = {"rows": 2000, "users": 100, "items": 100, "list_length": 4, "click_rate": 0.3, "buy_rate": 0.4}
    synthesise("ali-ccp", raw, size)
    for truth in raw.glob("*.npy"):
        truth.unlink()
    card = (content.root("datasets") / "ali-ccp" / "card.toml").read_text(encoding="utf-8")
    return card.replace("valid_fraction = 0.1", "valid_fraction = 0.4").replace("min_count = 10", "min_count = 2")
