"""Cards and stores as plain values, for listings, and a card in sentences."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path
from typing import Any

from bench.core.errors import UserError, listed
from bench.data.card import Card
from bench.data.columns import KINDS
from bench.data.sources import SyntheticReader
from bench.data.splits import ColumnSplit, FileSplit, HashSplit, RandomSplit, Range, TimeSplit, ValidOfTrain
from bench.data.store import Store
from bench.data.tasks import Span, TaskRule
from bench.system.progress import Progress

_AS_THEY_ARE = {"id", "title", "licence", "citation", "homepage", "files", "group", "units", "time", "scenario"}
_AS_THEY_ARE |= {"post_exposure", "logged", "weight", "sampling", "encoding"}


def describe(card: Card) -> dict[str, Any]:
    """The content of a card, for display."""
    columns = {
        name: column.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"kind": column.kind}
        for name, column in card.columns.items()
    }
    shown = {"name", "kind", "positive", "parent", "optional"}
    tasks = [
        rule.model_dump(mode="json", include=shown)
        | {"columns": list(rule.sources)}
        | rule.model_dump(mode="json", include={"where"}, exclude_defaults=True)
        for rule in card.task_rules
    ]
    dumped = card.model_dump(mode="json", include=_AS_THEY_ARE)
    return dumped | {
        "key": card.key,
        "variants": list(card.origin.variants),
        "reader": card.reader.kind,
        "parameters": card.reader.parameters if isinstance(card.reader, SyntheticReader) else {},
        "needs_network": not isinstance(card.reader, SyntheticReader),
        "sources": [{"kind": source.kind, "from": source.label, "sha256": source.sha256} for source in card.sources],
        "columns": columns,
        "tasks": tasks,
        "default_tasks": list(card.default_tasks),
        "split": card.split.model_dump(mode="json", exclude_none=True),
        "segments": {name: rule.model_dump(mode="json", exclude_defaults=True) for name, rule in card.segments.items()},
        "target_rates": list(card.encoding.target_rates),
        "explained": explain(card),
    }


def card_schema() -> dict[str, Any]:
    """The JSON schema of a card's file, for editors: of `Card`, and of the short forms that reading it allows."""
    schema: dict[str, Any] = Card.model_json_schema(by_alias=True)
    kinds = [name for name, kind in KINDS.items() if not any(own.is_required() for own in kind.model_fields.values())]
    schema["required"].remove("columns")  # a generator may name them
    columns = schema["properties"]["columns"]
    columns["additionalProperties"] = {"anyOf": [{"enum": kinds}, columns["additionalProperties"]]}
    plain = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
    for model, keys in {"TaskRule": ("positive", "negative"), "ColumnSplit": ("train", "valid", "test")}.items():
        for key in keys:
            schema["$defs"][model]["properties"][key] |= plain
    conditions = schema["$defs"]["TaskRule"]["properties"]["where"]
    conditions["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Span"}, plain]}
    variant = {"type": "object", "properties": dict(schema["properties"]), "additionalProperties": False}
    schema["properties"]["variants"] = {
        "type": "object",
        "additionalProperties": variant,
        "description": "Other values of top-level keys, under a name that is written after an @.",
    }
    return schema


def prepared(home: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
    """The stores under a home, by key: path, fingerprint, rows, default tasks, size on disk.

    Args:
        progress: is told of each damaged store; they are left out.
    """
    stores = []
    for path in _stores(home):
        try:
            store = Store.open(path)
            store.check()
        except UserError as error:
            if progress is not None:
                progress.note(f"left out: {error}")
            continue
        facts = {key: store.manifest[key] for key in ("key", "id", "fingerprint", "default_tasks")}
        rows = {name: split["rows"] for name, split in store.manifest["splits"].items()}
        stores.append(facts | {"path": str(path), "rows": rows, "size_mb": _megabytes(path)})
    return stores


def _stores(home: Path, key: str = "*") -> list[Path]:
    """The folders of stores, damaged ones too, in order; what is being written has a name that begins with a dot."""
    folders = (home / "store").glob(f"{key}/*/")
    return sorted(path for path in folders if path.is_dir() and not path.name.startswith("."))


def _megabytes(folder: Path) -> float:
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20, 1)


def remove_stores(home: Path, key: str) -> list[dict[str, Any]]:
    """Removes the stores of that key under a home, damaged ones too; returns key, path and size of each.

    Fetched files stay.
    """
    shelf = home / "store" / key
    freed: list[dict[str, Any]] = [
        {"key": key, "path": str(path), "size_mb": _megabytes(path)} for path in _stores(home, escape(key))
    ]
    for store in freed:
        shutil.rmtree(store["path"])
    if shelf.is_dir() and not any(shelf.iterdir()):
        shelf.rmdir()
    return freed


def explain(card: Card) -> list[str]:
    """Sentences, in the order of the way of the data: rows, labels, split, groups, inputs."""
    return [*_rows(card), *map(_task, card.task_rules), *_split(card), *_groups(card), *_inputs(card)]


def _quoted(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names])


def _rows(card: Card) -> Iterator[str]:
    reader = card.reader
    if isinstance(reader, SyntheticReader):
        yield f"Rows are generated by '{reader.generator}'; nothing is read."
        return
    yield f"Rows come from {listed(card.row_files)}, read as {reader.kind}."
    for join in reader.joins:
        yield f"{join.file} is looked up by '{join.on}' for each row; rows without a partner get missing values."
    if card.missing:
        yield f"{_quoted(card.missing)} and the empty text mean missing."
    if reader.drop_duplicates:
        yield "Of rows that are equal in every column, the first is kept."


_SCALES = {
    "auto": "scaled for training by train, after log(1 + y) where it is skewed and not negative",
    "none": "trained on as it is",
    "standard": "scaled for training by train's mean and deviation",
    "log1p": "scaled for training by train, after log(1 + y)",
}


def _task(rule: TaskRule) -> str:
    if rule.kind == "regression":
        each = "" if rule.unit == 1 else f" divided by {rule.unit:g}"
        text = f"{rule.name} is the number in '{rule.column}'{each}, {_SCALES[rule.scale]}"
    elif rule.columns:
        text = f"{rule.name} is 1 where {_quoted(rule.columns)} are all 1"
    elif rule.positive:
        others = f"0 where it is {_or(rule.negative)}, and nothing else may stand there" if rule.negative else "else 0"
        text = f"{rule.name} is 1 where '{rule.column}' is {_or(rule.positive)}, {others}"
    else:
        text = f"{rule.name} is the 0 or 1 in '{rule.column}'"
    if rule.parent and rule.kind == "regression":
        text += (
            f"; it counts where {rule.parent} is 1 and is predicted given {rule.parent}, and on all rows as 0 elsewhere"
        )
    elif rule.parent:
        text += f"; it can happen only after {rule.parent}, so it is predicted given {rule.parent} and jointly with it"
    if rule.censored:
        text += f"; a label at or above '{rule.censored}' says only that it is at least that"
    if rule.duration:
        text += f"; the loss bins groups rows by '{rule.duration}'"
    if rule.where:
        text += (
            f"; it counts where {listed([_holds(*each) for each in rule.where.items()])}, elsewhere it is unobserved"
        )
    return f"{text}{'; used only when asked for by name' if rule.optional else ''}."


def _holds(raw: str, values: Span | tuple[str, ...]) -> str:
    if not isinstance(values, Span):
        return f"'{raw}' is {_or(values)}"
    ends = ((values.first, "at least"), (values.last, "at most"))
    return f"'{raw}' is {listed([f'{word} {end:.15g}' for end, word in ends if math.isfinite(end)])}"


def _or(values: Sequence[str]) -> str:
    return " or ".join(repr(value) for value in values)


def _split(card: Card) -> Iterator[str]:
    split = card.split
    if isinstance(split, TimeSplit):
        parts = [f"{name} {_range(getattr(split, name))}" for name in ("train", "valid", "test")]
        how = ", compared as texts" if card.textual_time else ""
        yield f"The split goes by '{card.time}'{how}: {'; '.join(parts)}; rows at no such time are left out."
    elif isinstance(split, FileSplit):
        valid = _of_train(card, split) or listed(split.valid)
        yield f"The split goes by file: train is {listed(split.train)}, valid is {valid}, test is {listed(split.test)}."
    elif isinstance(split, HashSplit):
        column = card.together if card.split_by_group else split.column
        yield f"The split goes by a hash of '{column}', of which no value is in two splits: {_shares(split)}."
    elif isinstance(split, RandomSplit):
        unit = "row" if split.unit == "row" else f"value of '{card.together}', so that none is in two splits"
        yield f"The split is drawn for each {unit}: {_shares(split)}."
    elif isinstance(split, ColumnSplit):
        valid = _of_train(card, split) or _or(split.valid)
        yield (
            f"The split goes by what '{split.column}' says: train is {_or(split.train)}, valid is {valid}, "
            f"test is {_or(split.test)}; rows with another value are left out."
        )
    column = card.together or (split.column if isinstance(split, HashSplit) else None)
    units = f"values of '{column}'" if column else "rows"
    yield f"Half of valid's {units} become confirm: rows that the search does not see."
    if card.units and not card.split_by_group:
        yield f"Rows of one '{card.units}' may be in train, valid and test, since the split does not go by it."


def _of_train(card: Card, split: ValidOfTrain) -> str:
    """The part of train that is valid; empty where valid has rows of its own."""
    if split.valid_from is not None:
        return f"train from '{card.time}' {split.valid_from} on"
    if split.valid_fraction is None:
        return ""
    unit = "rows" if split.unit == "row" else f"values of '{card.together}'"
    return f"{split.valid_fraction:.1%} of train's {unit}, drawn with seed {split.seed}"


def _range(part: Range) -> str:
    if part.first is None:
        return f"up to {part.last}"
    return f"from {part.first}" + ("" if part.last is None else f" to {part.last}")


def _shares(split: HashSplit | RandomSplit) -> str:
    train = 1 - split.valid - split.test
    return f"train {train:.1%}, valid {split.valid:.1%}, test {split.test:.1%}, with seed {split.seed}"


def _groups(card: Card) -> Iterator[str]:
    if card.group is not None:
        yield f"Rows of one '{card.group}' are ranked against each other (GAUC)."
    if card.units is not None:
        yield f"Rows of one '{card.units}' are resampled together, for intervals."
    if card.post_exposure:
        yield f"Known only after the impression, and never inputs: {', '.join(card.post_exposure)}."
    if card.scenario is not None:
        yield f"Models may know the scenario of a row, its '{card.scenario}', beside what it is as an input."
    for name, rule in card.segment_rules.items():
        values = "each value that is frequent on train" if rule.column and not rule.ranges else listed(rule.fixed)
        of = f"whether train holds its '{rule.raw}'" if rule.known else f"'{rule.raw}'"
        yield f"Segment {name} of a row goes by {of}: {values}."
    if card.weight is not None:
        yield f"A row counts in losses and metrics as often as its '{card.weight}' says; plain metrics stand beside."
    if (sampling := card.sampling) is not None:
        rate = f"at the rate in '{sampling.column}'" if sampling.column else f"{sampling.rate:.4g} of them"
        yield f"Of rows with {sampling.task} = 0 a part was kept, {rate}; probabilities and metrics are of all rows."
    if card.logged:
        yield f"Scores that ranked when the log was written, and never inputs: {', '.join(card.logged)}."


def _inputs(card: Card) -> Iterator[str]:
    kept = f"{card.encoding.min_count} rows of train" if card.encoding.min_count > 1 else "one row of train"
    yield (
        f"A category gets an embedding of its own from {kept} on, unless the input says otherwise; rarer and new ones "
        "share the unknown's."
    )
    if (history := card.history) is not None:
        seen = listed(("rows seen", *history.actions))
        yield (
            f"Of strictly earlier rows of the same '{card.group}', by '{card.history_time}': how many, how long ago "
            f"the last was, and rates, of {seen}"
            + (f"; the same among rows with the row's own {listed(history.same)}" if history.same else "")
            + (f"; the newest {history.length} values of {listed(history.lists)}" if history.lists else "")
            + ". A row sees its own split and those before it."
        )
    if rates := card.encoding.target_rates:
        whose = (
            f"the mean label of {listed(named)}" if (named := card.encoding.rate_tasks) else "each task's mean label"
        )
        yield (
            f"{listed(rates)} {'is' if len(rates) == 1 else 'are'} also described by {whose} among "
            "train rows of the same value, taken from other rows."
        )
