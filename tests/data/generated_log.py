"""A log of impressions of any size as CSV or parquet, written in blocks, and its card."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

BLOCK = 50_000
"""Rows of a block, and of a row group."""
USERS, ITEMS, NUMBERS = 100_000, 50_000, 8
CARD = """id = "generated-log"
title = "A generated log"
licence = "-"
citation = "-"
homepage = "https://example.org"
group = "user"
files = [{{ name = "log.{format}" }}]
reader = {{ kind = "{format}" }}
split = {{ kind = "random", valid = 0.1, test = 0.1, unit = "group" }}
tasks = [{{ name = "click", column = "click" }}, {{ name = "buy", column = "buy", parent = "click" }}]
[columns]
user = "categorical"
item = "categorical"
city = "categorical"
device = "categorical"
tags = {{ kind = "multi-valued", separator = "|" }}
{numbers}
"""


HISTORY = """history = { time = "at", actions = ["click"], lists = ["item"], same = ["city"] }
"""
"""What is put before the card's columns where it has a history: of 2,000 visitors, all equally
frequent.
"""


def blocks(rows, history):
    """Users and items by Zipf's law, the same ones at any size."""
    for start in range(0, rows, BLOCK):
        rng, size = np.random.default_rng(start), min(BLOCK, rows - start)
        tags = [f"t{i}" for i in range(500)]
        lists = np.array(
            [f"{tags[i]}|{tags[(7 * i) % 500]}|{tags[(3 * i + 1) % 500]}" for i in range(500)]
        )
        click = rng.random(size) < 0.2
        columns = {
            "user": _ids("u", USERS, rng, size),
            "item": _ids("item", ITEMS, rng, size),
            "city": _ids("city", 300, rng, size),
            "device": _ids("device", 12, rng, size),
            "tags": pa.array(lists[rng.integers(0, 500, size)]),
            **{f"x{i}": np.round(rng.lognormal(size=size), 4) for i in range(NUMBERS)},
            "click": click.astype(np.int8),
            "buy": (click & (rng.random(size) < 0.1)).astype(np.int8),
        }
        if history:
            columns |= {
                "visitor": rng.integers(0, 2000, size),
                "at": np.arange(start, start + size),
            }
        yield pa.table(columns)


def _ids(prefix, count, rng, size):
    ranks = np.minimum((count ** rng.random(size)).astype(np.int64), count - 1)
    names = pa.array([f"{prefix}{i}" for i in range(count)])
    return names.take(pa.array(ranks))


def write(rows, folder, format, history=False):
    """Writes `log.<format>` and `card.toml`; returns the card's path."""
    folder.mkdir(parents=True)
    path, tables = folder / f"log.{format}", blocks(rows, history)
    first = next(tables)
    writer = pacsv.CSVWriter if format == "csv" else pq.ParquetWriter
    with writer(path, first.schema) as out:
        out.write_table(first)
        for table in tables:
            out.write_table(table)
    numbers = "\n".join(f'x{i} = "numeric"' for i in range(NUMBERS))
    card = folder / "card.toml"
    text = CARD.format(format=format, numbers=numbers)
    if history:
        text = text.replace('group = "user"', 'group = "visitor"').replace(
            "[columns]", f"{HISTORY}[columns]"
        )
    card.write_text(text, encoding="utf-8")
    return card
