"""Data: from a card and its raw files to memory-mapped arrays.

    card = load_card("synthetic-funnel")
    store = prepare(card, home)
    train = store.with_tasks(store.default_tasks).split("train")
    train.ids, train.dense, train.labels, train.group

A `Card` says what a data set is, `prepare` fetches, reads, encodes and stores it, a `Store` gives its arrays, and its
`Encoder` turns raw rows into the same form later.
"""

from bench.data.card import Card
from bench.data.encoding import Encoder
from bench.data.listing import describe, prepared
from bench.data.loading import load_card, parse_card
from bench.data.prepare import prepare
from bench.data.store import Split, SplitName, Store

__all__ = [
    "Card",
    "Encoder",
    "Split",
    "SplitName",
    "Store",
    "describe",
    "load_card",
    "parse_card",
    "prepare",
    "prepared",
]
