"""The schema that a card's data will have, as far as it is known before they are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.core import schema
from bench.core.errors import check_known
from bench.core.schema import Schema
from bench.data.card import Card
from bench.data.columns.categorical import Categorical
from bench.data.columns.numeric import Numeric


def shape_of(card: Card, tasks: Sequence[str] = ()) -> Schema:
    """A schema with the card's inputs and tasks: every field has two values, and every number one
    range.

    Columns that preparing adds by what it finds (flags of missing values, target rates) are not
    among them. `tasks` are those to train, by default the card's; raises UserError for an unknown
    one.
    """
    by_name = {task.name: task for task in card.tasks}
    for name in tasks:
        check_known("task", name, by_name)
    past = card.history
    shape = Schema((), (), ())
    numbers = {name: Numeric() for name in (past.numbers if past else ())}
    for name, column in (card.columns | numbers).items():
        shape = column.shape_in(shape, name)
    lists = (
        [schema.Field(each.name, 2, past.length, each.of) for each in past.list_rules]
        if past
        else []
    )
    ranges = (schema.Field(f"{number.name}_bucket", 3) for number in shape.numbers)
    logged = {
        rule.name
        for rule in card.task_rules
        if rule.kind == "regression" and rule.scale in ("auto", "log1p")
    }
    # Whether a scale is logarithmic only data can tell; here it is where it may be.
    scale = schema.Scale(log=True, centre=0.0, spread=1.0, low=0.0, high=0.0, mean=0.0)
    named = (by_name[name] for name in tasks or card.default_tasks)
    chosen = tuple(replace(task, scale=scale) if task.name in logged else task for task in named)
    return replace(
        shape,
        fields=(*shape.fields, *lists, *ranges),
        tasks=chosen,
        group=card.input_of(Categorical, card.group),
        grouped=card.group is not None,
        scenario=card.input_of(Categorical, card.scenario),
    )
