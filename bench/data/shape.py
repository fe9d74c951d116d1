"""The shape of a card's data before it is prepared: which fields and dense columns there will be."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data import columns
from bench.data.card import Card
from bench.data.columns import Categorical, MultiValued, Numeric
from bench.errors import unknown
from bench.schema import Field, Number, Schema, Vector


def shape_of(card: Card, tasks: Sequence[str] = (), cardinality: int = 2) -> Schema:
    """A schema with the card's inputs and tasks, but for what only data can tell.

    Every field has one cardinality, and every number one range.

    Columns that preparing adds by what it finds (flags of missing values, target rates) are not among them.

    Args:
        tasks: names of those to train; none: the card's.

    Raises:
        UserError: an unknown task.
    """
    by_name = {task.name: task for task in card.tasks}
    for name in tasks:
        if name not in by_name:
            raise unknown("task", name, by_name)
    fields: list[Field] = []
    dense: list[str] = []
    ranges: list[Field] = []
    numbers: list[Number] = []
    vectors: list[Vector] = []
    for name, column in card.columns.items():
        match column:
            case Categorical():
                fields.append(Field(name, cardinality))
            case MultiValued():
                fields.append(Field(name, cardinality, column.max_length))
            case columns.Vector():
                vectors.append(Vector(name, len(dense), column.length))
                dense += [f"{name}_{at}" for at in range(column.length)]
            case Numeric():
                ranges.append(Field(f"{name}_bucket", 3))
                numbers.append(Number(name, len(dense), None, (0.0, 1.0), (1,)))
                dense.append(name)
    if card.history is not None:
        fields += [Field(each.name, cardinality, card.history.length, each.of) for each in card.history.list_rules]
        for name in card.history.numbers:
            ranges.append(Field(f"{name}_bucket", 3))
            numbers.append(Number(name, len(dense), None, (0.0, 1.0), (1,)))
            dense.append(name)
    chosen = tuple(by_name[name] for name in tasks or card.default_tasks)
    return Schema((*fields, *ranges), tuple(dense), chosen, card.group_input, tuple(numbers), tuple(vectors))
