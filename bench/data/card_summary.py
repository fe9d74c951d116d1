"""A card before its data are prepared: as plain values, in sentences, and as a schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.core.errors import check_known
from bench.core.schema import Field, Scale, Schema, Task
from bench.data.card import Card
from bench.data.columns.categorical import Categorical
from bench.data.columns.numeric import Numeric
from bench.data.sources import SyntheticReader
from bench.data.splits import HashSplit

_DESCRIBED_APART = {"reader", "folder", "sources", "columns", "task_rules", "split", "segments"}
_OF_EVERY_TASK = {"name", "kind", "positive", "parent", "optional"}


def describe(card: Card) -> dict[str, Any]:
    """The content of a card, for display."""
    columns = {}
    for name, column in card.columns.items():
        changed = column.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        columns[name] = changed | {"kind": column.kind}

    tasks = []
    for rule in card.task_rules:
        basic = rule.model_dump(mode="json", include=_OF_EVERY_TASK)
        changed = rule.model_dump(mode="json", exclude={"column", "columns"}, exclude_defaults=True)
        tasks.append({"columns": list(rule.sources)} | basic | changed)

    sources = [
        {"kind": source.kind, "from": source.label, "sha256": source.sha256}
        for source in card.sources
    ]
    segments = {
        name: rule.model_dump(mode="json", exclude_defaults=True)
        for name, rule in card.segments.items()
    }
    reader = card.reader
    return card.model_dump(mode="json", exclude=_DESCRIBED_APART) | {
        "key": card.key,
        "variants": list(card.origin.variants),
        "reader": reader.kind,
        "parameters": reader.parameters if isinstance(reader, SyntheticReader) else {},
        "needs_network": not isinstance(reader, SyntheticReader),
        "sources": sources,
        "columns": columns,
        "tasks": tasks,
        "default_tasks": list(card.default_tasks),
        "split": card.split.model_dump(mode="json", exclude_none=True),
        "segments": segments,
        "explained": list(explain(card)),
    }


def explain(card: Card) -> Iterator[str]:
    """Sentences on what follows from a card's keys, where these do not say it themselves."""
    for join in card.reader.joins:
        yield (
            f"{join.file} is looked up by '{join.on}' for each row; rows without a partner get "
            "missing values."
        )
    if card.reader.drop_duplicates:
        yield "Of rows that are equal in every column, the first is kept."

    column = card.together
    if column is None and isinstance(card.split, HashSplit):
        column = card.split.column
    units = f"values of '{column}'" if column else "rows"
    yield f"Half of valid's {units} become confirm: rows that the search does not see."
    if card.units and not card.split_by_group:
        yield (
            f"Rows of one '{card.units}' may be in train, valid and test, since the split does "
            "not go by it."
        )


def shape_of(card: Card, tasks: Sequence[str] = ()) -> Schema:
    """The schema that the card's data will have, as far as the card decides it: every field has two
    values, and every number one range.

    Columns that preparing adds by what it finds (flags of missing values, target rates) are not
    among them. `tasks` are those to train, by default the card's; raises UserError for an unknown
    one.
    """
    task_of_name = {task.name: _with_scale(card, task) for task in card.tasks}
    for name in tasks:
        check_known("task", name, task_of_name)

    columns, lists = dict(card.columns), []
    history = card.history
    if history is not None:
        columns |= dict.fromkeys(history.numbers, Numeric())
        lists = [Field(rule.name, 2, history.length, rule.of) for rule in history.list_rules]
    shape = Schema((), (), ())
    for name, column in columns.items():
        shape = column.shape_in(shape, name)
    ranges = [Field(f"{number.name}_bucket", 3) for number in shape.numbers]
    return replace(
        shape,
        fields=(*shape.fields, *lists, *ranges),
        tasks=tuple(task_of_name[name] for name in tasks or card.default_tasks),
        group=card.input_of(Categorical, card.group),
        grouped=card.group is not None,
        scenario=card.input_of(Categorical, card.scenario),
    )


def _with_scale(card: Card, task: Task) -> Task:
    """With a logarithmic scale where it may be one: only data can tell whether it is."""
    rule = next(rule for rule in card.task_rules if rule.name == task.name)
    if task.kind != "regression" or rule.scale not in ("auto", "log1p"):
        return task
    scale = Scale(log=True, centre=0.0, spread=1.0, low=0.0, high=0.0, mean=0.0)
    return replace(task, scale=scale)
