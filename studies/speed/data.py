"""Generated impressions with two tasks, as a card and files that `seesaw data prepare` reads.

Ids of a field are Zipf-distributed with exponent 1; fields have from ten to `largest` values,
evenly spaced on a log scale, so that a few of them hold nearly all ids, as in logs of clicks. Click
and purchase depend on the ids of the smaller fields, alone and in pairs; a purchase needs a click.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.core.system.atomic import atomic_folder, write_text
from bench.data import Store, load_card, prepare

LEARNABLE = 20_000  # ids of larger fields say nothing of the labels
UNUSED_ROWS = 1000  # a store has a test split; nothing here reads it
CLICK_RATE_LOGIT, BUY_RATE_LOGIT = -2.2, -2.6


@dataclass(frozen=True)
class Size:
    """How much to generate; 600,000 rows of 23 fields up to nine million make 1.3 million ids."""

    rows: int = 600_000
    eval_rows: int = 200_000
    fields: int = 23
    largest: int = 9_000_000
    seed: int = 0


def prepared(size: Size, home: Path) -> Store:
    """The store of data of this size, made where there is none yet; its manifest says how long that
    took.
    """
    name = "-".join(str(value) for value in asdict(size).values())
    raw = home / "benchmarks" / f"impressions-{name}"
    if not raw.exists():
        with atomic_folder(raw) as folder:
            write(size, folder)
    return prepare(load_card(str(raw / "card.toml")), home, raw)


def write(size: Size, folder: Path) -> None:
    """Writes train.parquet, valid.parquet, test.parquet and card.toml."""
    rng = np.random.default_rng(size.seed)
    widths = np.geomspace(10, size.largest, size.fields).astype(np.int64)
    effects = [_effects(rng, int(width)) for width in widths if width <= LEARNABLE]
    for name, rows in (("train", size.rows), ("valid", size.eval_rows), ("test", UNUSED_ROWS)):
        ids = [zipf(rng, int(width), rows) for width in widths]
        click, buy = _labels(rng, ids, effects)
        columns = {f"f{number}": column for number, column in enumerate(ids)}
        pq.write_table(pa.table(columns | {"click": click, "buy": buy}), folder / f"{name}.parquet")
    inputs = "\n".join(f'f{number} = "categorical"' for number in range(size.fields))
    write_text(folder / "card.toml", CARD + inputs + "\n")


def zipf(rng: np.random.Generator, values: int, rows: int) -> NDArray[np.int32]:
    """Ids 0 .. values - 1, of probability nearly proportional to 1 / (id + 1): floor of a
    log-uniform number.
    """
    drawn = np.floor(np.exp(rng.random(rows) * np.log(values + 1)))
    return np.minimum(drawn.astype(np.int32) - 1, values - 1)


def _effects(rng: np.random.Generator, values: int) -> NDArray[np.float32]:
    """What each id of a field adds to the logits of click and purchase, correlated with .5; (2,
    values).
    """
    click, independent = rng.standard_normal((2, values), np.float32)
    return np.stack([click, 0.5 * click + np.sqrt(0.75).astype(np.float32) * independent])


def _labels(
    rng: np.random.Generator, ids: list[NDArray[np.int32]], effects: list[NDArray[np.float32]]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    rows = len(ids[0])
    logits, before = np.zeros((2, rows), np.float32), np.zeros((2, rows), np.float32)
    for column, effect in zip(ids, effects, strict=False):  # the smaller fields come first
        added = effect[:, column]
        logits += (
            0.25 * added + 0.15 * added * before
        )  # by itself, and together with the field before
        before = added
    draws = rng.random((2, rows), np.float32)
    click = draws[0] < 1 / (1 + np.exp(-logits[0] - CLICK_RATE_LOGIT))
    buy = click & (draws[1] < 1 / (1 + np.exp(-logits[1] - BUY_RATE_LOGIT)))
    return click.astype(np.int8), buy.astype(np.int8)


CARD = """id = "impressions"
title = "Generated impressions"
licence = "MIT"
citation = "studies/speed/data.py"
homepage = "https://example.org"
group = "f12"

[reader]
kind = "parquet"

[[files]]
name = "train.parquet"
[[files]]
name = "valid.parquet"
[[files]]
name = "test.parquet"

[split]
kind = "files"
train = ["train.parquet"]
valid = ["valid.parquet"]
test = ["test.parquet"]

[encoding]
min_count = 1

[[tasks]]
name = "click"
column = "click"
[[tasks]]
name = "buy"
column = "buy"
# The same purchases where a model is told that they follow clicks.
[[tasks]]
name = "conversion"
column = "buy"
parent = "click"
optional = true

[columns]
"""
