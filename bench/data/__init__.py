"""Data: from a card and its raw files to memory-mapped arrays.

    card = load_card("synthetic-funnel")
    store = prepare(card, home)
    train = store.with_tasks(store.default_tasks).split("train")
    train.ids, train.dense, train.labels, train.group

A `Card` describes a data set; `prepare` fetches, reads, encodes and stores it. A `Store` gives its
arrays, and its `Encoder` turns raw rows into the same form later.

What a worker needs, the store, is loaded at once; the rest with its first use: it brings pyarrow
and the readers along, half a second that no trial needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.data.store import Store as Store
from bench.data.store import StoredSplit as StoredSplit
from bench.data.store import prepared as prepared

if TYPE_CHECKING:
    from bench.data.card import Card as Card
    from bench.data.card_summary import describe as describe
    from bench.data.encoding.encoder import Encoder as Encoder
    from bench.data.loading import load_card as load_card
    from bench.data.loading import parse_card as parse_card
    from bench.data.preparation import prepare as prepare

_HOME_OF = {
    "Card": "card",
    "Encoder": "encoding.encoder",
    "describe": "card_summary",
    "load_card": "loading",
    "parse_card": "loading",
    "prepare": "preparation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
