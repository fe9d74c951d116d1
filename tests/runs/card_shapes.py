"""Random rows in the shape of the built-in cards: their tasks and kinds of inputs, few of each and few values."""

from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.core.schema import Field, Schema
from bench.data import Split, load_card
from bench.data.shape import shape_of
from bench.system import content

ROWS, CARDINALITY, INPUTS = 96, 7, 2


class ShapedStore:
    """All that a trainer needs of a store: every split has the same random rows, half of each label's positive."""

    key, fingerprint, weights = "shape", "0", None

    def __init__(self, schema):
        self.schema, self._folder = schema, TemporaryDirectory()
        self.path = Path(self._folder.name)
        rng = np.random.default_rng(0)
        ids = [
            at + rng.integers(0, field.cardinality, ROWS)
            for field, at in zip(schema.fields, schema.offsets, strict=True)
            for _ in range(field.slots)
        ]
        labels = np.empty((ROWS, len(schema.tasks)), np.float32)
        for at, task in enumerate(schema.tasks):
            drawn = rng.normal(size=ROWS) if task.kind == "regression" else rng.random(ROWS) < 0.5
            parent = schema.parents[at]
            labels[:, at] = drawn if parent is None else drawn * labels[:, parent]
        self.rows = Split(
            np.stack(ids, 1).astype(np.int32) if ids else np.empty((ROWS, 0), np.int32),
            rng.normal(size=(ROWS, len(schema.dense))).astype(np.float32),
            labels,
            rng.integers(0, 8, ROWS).astype(np.int32),
        )

    def split(self, name):
        return self.rows


def small(schema):
    """At most two inputs of each kind; names are the card's."""
    plain = schema.without_ranges
    kinds = groupby(sorted(plain.fields, key=lambda field: field.slots > 1), lambda field: field.slots > 1)
    fields = tuple(
        Field(field.name, CARDINALITY, min(field.slots, 3)) for _, few in kinds for field in list(few)[:INPUTS]
    )
    ranges = schema.fields[len(plain.fields) :][:INPUTS]
    numbers = schema.numbers[:INPUTS]
    return Schema((*fields, *ranges), schema.dense[:INPUTS], schema.tasks, None, numbers, grouped=schema.grouped)


def cards():
    """Every built-in card by what it trains by default, and by all its tasks where it has more."""
    found = {}
    for name in content.names("datasets"):
        card = load_card(name)
        found[name] = small(shape_of(card))
        if len(card.tasks) > len(card.default_tasks):
            found[f"{name}, all tasks"] = small(shape_of(card, [task.name for task in card.tasks]))
    return found


def distinct(schemas):
    """One of each shape: names of tasks and inputs make no difference."""
    return dict({_shape(schema): (name, schema) for name, schema in reversed(schemas.items())}.values())


def _shape(schema):
    return (
        tuple(field.slots > 1 for field in schema.fields),
        bool(schema.dense),
        tuple(task.kind for task in schema.tasks),
        schema.parents,
        schema.grouped,
    )
