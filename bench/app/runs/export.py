"""An export of a run: predictions of its points with labels, as a log that `seesaw decide` reads.

Beside the log stands a file of options, `decide --file`, with which `decide` has the run's numbers
exactly: the same parts of the rows, base rates, seeds, what is served today, outcomes and policy.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.app.runs.folder import DatasetRun
from bench.app.runs.ranked import Ranked, ranked_by
from bench.app.runs.result import DatasetResult
from bench.core.arrays import Mask
from bench.core.errors import UserError, check_known
from bench.core.formula import quoted
from bench.core.rows import CONFIRM, TEST
from bench.core.system.atomic import atomic_path
from bench.data.card import Card
from bench.deciding.policy import toml_lines
from bench.ledger.fusion import Fusion, logged
from bench.ledger.served.measuring import Candidate
from bench.measure.predictions import KEPT, KeptRows

LOG = "export.parquet"
ENDS = (".csv", ".parquet")
OF_A_UNIT = np.uint64(1 << 40)
"""Set in a kept row's unit where it is one of the card's, see
`bench.measure.resamples.units_of`.
"""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        log: the file of rows.
        options: the file of options for `seesaw decide --file`.
        points: ids of the exported points.
        notes: sentences on what `decide` cannot know of the run.
    """

    log: Path
    options: Path
    rows: int
    points: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that reads it."""
        return f"seesaw decide --file {shlex.quote(str(self.options))}"


@dataclass
class _Names:
    """Columns of the log, each name once."""

    taken: set[str] = field(default_factory=set)

    def new(self, wanted: str) -> str:
        """The name, with a number where another column has it."""
        name = wanted
        count = 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name


def export(
    result: DatasetResult,
    to: Path | None = None,
    points: Sequence[str] = (),
    split: str | None = None,
) -> Exported:
    """Writes predictions of points, with labels, group, units and part, and the options that
    `decide` takes.

    Args:
        to: a CSV or parquet file; by default `export.parquet` in the folder of the data set's part
            of the run.
        points: their ids; none means all. The point that all are compared with always joins them.
        split: valid, confirm or test; by default all three.

    Raises:
        UserError: nothing was confirmed, an unknown point or split, or another kind of file.
    """
    part = result.run
    target = (to or part.folder / LOG).expanduser().resolve()
    if target.suffix not in ENDS:
        raise UserError(
            f"--out: expected a file that ends in {' or '.join(ENDS)}, found '{target.name}'"
        )
    if split is not None:
        check_known("split", split, KEPT, "--split")
    ranked = ranked_by(part, result.decision.frontier.points, result.objectives)
    if ranked is None or ranked.current is None:
        raise UserError(
            f"{part.run.name}: expected kept predictions to export, found none, as nothing was "
            f"confirmed; `{part.run.go_on} --confirm replicates=3` makes them"
        )
    chosen = _chosen(ranked, points)
    table, options = _log_of(result, ranked, chosen, KEPT if split is None else (split,))
    options_file = target.with_suffix(".toml")
    with atomic_path(target) as log, atomic_path(options_file) as toml:
        if target.suffix == ".csv":
            table.to_csv(log, index=False)
        else:
            table.to_parquet(log, index=False)
        lines = toml_lines({"log": [str(target)]} | options)
        toml.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    ids = tuple(candidate.id for candidate in chosen)
    return Exported(target, options_file, len(table), ids, tuple(_notes(ranked, part.card, split)))


def _chosen(ranked: Ranked, points: Sequence[str]) -> list[Candidate]:
    ids = [candidate.id for candidate in ranked.candidates]
    for point in points:
        check_known("point", point, ids, "--point")
    assert ranked.current is not None
    wanted = {*points, ranked.current.id} if points else {*ids}
    chosen = [candidate for candidate in ranked.candidates if candidate.id in wanted]
    if not _models_among(chosen, ranked):
        raise UserError(
            f"--point: expected a model beside today's score, found '{ranked.current.id}' alone"
        )
    return chosen


def _models_among(chosen: Sequence[Candidate], ranked: Ranked) -> list[Candidate]:
    """Without today's score, a column that ranks by itself."""
    current = ranked.current
    if current is None or current.fusion is not None or not current.today:
        return list(chosen)
    return [candidate for candidate in chosen if candidate.id != current.id]


@dataclass(frozen=True)
class _Columns:
    """Names of the log's columns.

    Attributes:
        part: of the split; `later`: of whether it is later than what chooses.
        models: by point, by the name that `decide` has of each training, its columns by task.
        group, units: empty where the log has none.
        segments, items, item_numbers, exposure: by their names in the run.
    """

    part: str
    later: str
    models: dict[str, dict[str, list[str]]]
    score: str | None
    group: str
    units: str
    segments: dict[str, str]
    items: dict[str, str]
    item_numbers: dict[str, str]
    exposure: dict[str, str]


def _columns_of(part: DatasetRun, ranked: Ranked, chosen: Sequence[Candidate]) -> _Columns:
    card = part.card
    confirmation = ranked.rows[CONFIRM]
    names = _Names({*confirmation.tasks})
    models = _model_columns(chosen, ranked, confirmation.tasks, names)
    group = units = ""
    if any((rows.group >= 0).any() for rows in ranked.rows.values()):
        group = names.new(card.group or "group")
    if card.units is not None and card.units != card.group:
        units = names.new(str(card.units))
    logged_items = confirmation.items
    segments = {name: names.new(name) for name in confirmation.segments}
    items = {name: names.new(name) for name in card.items if name in logged_items}
    numbers = {name: names.new(name) for name in card.item_numbers if name in logged_items}
    exposure: dict[str, str] = {}
    if confirmation.exposure is not None:
        exposure[confirmation.exposure.kind] = names.new(confirmation.exposure.column)
    score = None
    if part.current.column is not None:
        score = names.new(part.current.column)
    return _Columns(
        part=names.new("part"),
        later=names.new("later"),
        models=models,
        score=score,
        group=group,
        units=units,
        segments=segments,
        items=items,
        item_numbers=numbers,
        exposure=exposure,
    )


def _model_columns(
    chosen: Sequence[Candidate], ranked: Ranked, tasks: Sequence[str], names: _Names
) -> dict[str, dict[str, list[str]]]:
    """Equal seeds have equal numbers."""
    models = _models_among(chosen, ranked)
    numbers: dict[int, int] = {}
    for candidate in models:
        for seed in candidate.seeds:
            numbers.setdefault(seed, len(numbers))
    by_point: dict[str, dict[str, list[str]]] = {}
    for candidate in models:
        label = re.sub(r"\W+", "_", candidate.id)
        by_point[candidate.id] = {}
        for place in range(candidate.replicates):
            name = candidate.id
            suffix = label
            if candidate.replicates > 1:
                number = numbers[candidate.seeds[place]]
                name = f"{candidate.id}#{number}"
                suffix = f"{label}_{number}"
            columns = [names.new(f"p_{task}_{suffix}") for task in tasks]
            by_point[candidate.id][name] = columns
    return by_point


def _log_of(
    result: DatasetResult, ranked: Ranked, chosen: Sequence[Candidate], splits: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows, and the options by which `decide` reads them."""
    part = result.run
    names = _columns_of(part, ranked, chosen)
    whole = len(splits) == len(KEPT)
    tables = []
    for split in splits:
        rows = ranked.rows[split]
        columns: dict[str, Any] = {}
        if whole:
            columns[names.part] = [split] * rows.kept
        if whole and part.card.split_times:
            columns[names.later] = [int(split == TEST)] * rows.kept
        for number, task in enumerate(rows.tasks):
            columns[task] = rows.labels[:, number]
        columns |= _predictions(chosen, names.models, split)
        columns |= _facts_of_rows(rows, names)
        if names.score is not None:
            columns[names.score] = logged(rows.logged[str(part.current.column)])
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True), _options(result, ranked, chosen, names, whole)


def _options(
    result: DatasetResult,
    ranked: Ranked,
    chosen: Sequence[Candidate],
    names: _Columns,
    whole: bool,
) -> dict[str, Any]:
    part = result.run
    confirmation = ranked.rows[CONFIRM]
    models: dict[str, list[str]] = {}
    for trainings in names.models.values():
        models |= trainings
    parents = {task.name: task.parent for task in part.tasks if task.parent}
    rates = {}
    for task, rate in zip(confirmation.tasks, confirmation.rates, strict=True):
        if rate > 0:
            rates[task] = rate
    options: dict[str, Any] = {
        "labels": list(confirmation.tasks),
        "models": models,
        "parents": parents,
        "joint": list(parents),
        "rates": rates,
        "baselines": [candidate.id for candidate in chosen if candidate.role == "baseline"],
        "seed": part.run.request.seed,
        "unseen": True,
        "recalibrate": False,
    }
    if whole:
        options["part"] = names.part
    if whole and part.card.split_times:
        options["time"] = names.later
    options |= _options_of_rows(names)
    options |= _today(ranked, names, confirmation)
    served = result.decision.serving.served
    if served is not None:
        options["outcomes"] = list(served.names)
    policy = result.decision.policy.model_dump(
        mode="json", exclude_unset=True, exclude={"score", "retrain"}
    )
    if policy:
        options["policy"] = policy
    return options


def _predictions(
    chosen: Sequence[Candidate], models: Mapping[str, Mapping[str, list[str]]], split: str
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for candidate in chosen:
        for place, names in enumerate(models.get(candidate.id, {}).values()):
            predicted = candidate.predictions(split, place)
            for number, name in enumerate(names):
                columns[name] = predicted[:, number]
    return columns


def _facts_of_rows(rows: KeptRows, names: _Columns) -> dict[str, Any]:
    """What the log has of rows beside labels and predictions."""
    columns: dict[str, Any] = {}
    if names.group:
        columns[names.group] = _or_missing(rows.group, rows.group >= 0)
    if names.units:
        of_card = (rows.units & OF_A_UNIT) > 0
        columns[names.units] = _or_missing((rows.units & ~OF_A_UNIT).astype(np.int64), of_card)
    for number, (segment, values) in enumerate(rows.segments.items()):
        with_missing = np.array([*values, None], dtype=object)
        columns[names.segments[segment]] = with_missing[rows.codes[:, number]]
    for item, name in names.items.items():
        codes = rows.items[item]
        columns[name] = _or_missing(np.nan_to_num(codes).astype(np.int64), np.isfinite(codes))
    for item, name in names.item_numbers.items():
        columns[name] = rows.items[item]
    for kind, name in names.exposure.items():
        assert rows.exposure is not None
        counts = rows.exposure.weights
        chance = np.divide(1.0, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        columns[name] = counts if kind == "random" else chance
    return columns


def _or_missing(values: NDArray[Any], present: Mask) -> NDArray[Any] | pd.Series[Any]:
    """Whole numbers, missing where they are not present."""
    if present.all():
        return values
    return pd.Series(values).astype("Int64").where(present)


def _options_of_rows(names: _Columns) -> dict[str, Any]:
    options: dict[str, Any] = {"group": names.group, "units": names.units}
    options |= names.exposure
    options |= {"items": names.items, "item_numbers": names.item_numbers}
    options["segments"] = list(names.segments.values())
    for name, value in list(options.items()):
        if not value:
            del options[name]
    return options


def _today(ranked: Ranked, names: _Columns, rows: KeptRows) -> dict[str, Any]:
    """What is served today, as an option of `decide`; else what stands for it."""
    current = ranked.current
    assert current is not None
    if names.score is not None:
        return {"score": names.score}
    if not current.today or current.fusion is None:
        return {"today": current.id}
    columns = next(iter(names.models[current.id].values()))
    return {"today": current.id, "weights": formula_of(current.fusion, columns, rows.rates)}


def formula_of(fusion: Fusion, columns: Collection[str], rates: Sequence[float]) -> str:
    """A fusion as a formula of columns, to the last digit."""
    terms = []
    for column, weight, rate in zip(columns, fusion.weights, rates, strict=True):
        if weight > 0 and fusion.kind == "power":
            terms.append(f"{quoted(column)}^{weight!r}")
        elif weight > 0:
            terms.append(f"{weight / rate!r} {quoted(column)}")
    return (" * " if fusion.kind == "power" else " + ").join(terms)


def _notes(ranked: Ranked, card: Card, split: str | None) -> list[str]:
    notes = []
    if ranked.rows[CONFIRM].weights is not None:
        notes.append("The run's rows have weights, which a log has not: `decide` counts all alike.")
    if split is not None:
        notes.append(
            f"These are rows of {split} alone: `decide` parts them anew, so its numbers are other "
            "than the run's."
        )
    return notes
