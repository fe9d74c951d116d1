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

from bench.app.runs.folder import DatasetRun
from bench.app.runs.ranked import Ranked, ranked_by
from bench.app.runs.result import DatasetResult
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
        name, count = wanted, 1
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
            f"confirmed; `seesaw confirm {part.run.name} --replicates 3` makes them"
        )
    chosen = _chosen(ranked, points)
    table, options = _log_of(result, ranked, chosen, KEPT if split is None else (split,))
    beside = target.with_suffix(".toml")
    with atomic_path(target) as temporary, atomic_path(beside) as written:
        if target.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
        text = "".join(f"{line}\n" for line in toml_lines({"log": [str(target)]} | options))
        written.write_text(text, encoding="utf-8")
    ids = tuple(candidate.id for candidate in chosen)
    return Exported(target, beside, len(table), ids, tuple(_notes(ranked, part.card, split)))


def _chosen(ranked: Ranked, points: Sequence[str]) -> list[Candidate]:
    ids = [candidate.id for candidate in ranked.candidates]
    for point in points:
        check_known("point", point, ids, "--point")
    assert ranked.current is not None
    wanted = {*points, ranked.current.id} if points else {*ids}
    chosen = [candidate for candidate in ranked.candidates if candidate.id in wanted]
    if all(_is_score(candidate, ranked) for candidate in chosen):
        raise UserError(
            f"--point: expected a model beside today's score, found '{ranked.current.id}' alone"
        )
    return chosen


def _is_score(candidate: Candidate, ranked: Ranked) -> bool:
    """Whether it is today's score, a column that ranks by itself."""
    current = ranked.current
    return (
        current is not None
        and candidate.id == current.id
        and current.fusion is None
        and current.today
    )


def _log_of(
    result: DatasetResult, ranked: Ranked, chosen: Sequence[Candidate], splits: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows, and the options by which `decide` reads them."""
    part, facts = result.run, ranked.rows[CONFIRM]
    names = _Names({*facts.tasks})
    models = _model_columns(chosen, ranked, facts.tasks, names)
    beside = _beside(part, ranked.rows, names)
    score = names.new(str(part.current.column)) if part.current.column is not None else None
    whole = len(splits) == len(KEPT)
    part_column, later = names.new("part"), names.new("later")
    tables = []
    for split in splits:
        rows = ranked.rows[split]
        columns: dict[str, Any] = {part_column: [split] * rows.kept} if whole else {}
        if whole and part.card.split_times:
            columns[later] = [int(split == TEST)] * rows.kept
        columns |= {task: rows.labels[:, at] for at, task in enumerate(rows.tasks)}
        columns |= _predictions(chosen, models, split, rows.tasks)
        columns |= _beside_columns(rows, beside)
        if score is not None:
            columns[score] = logged(rows.logged[str(part.current.column)])
        tables.append(pd.DataFrame(columns))
    options: dict[str, Any] = {
        "labels": list(facts.tasks),
        "models": {name: columns for own in models.values() for name, columns in own.items()},
        "parents": {task.name: task.parent for task in part.tasks if task.parent},
        "joint": [task.name for task in part.tasks if task.parent],
        "rates": {
            task: rate for task, rate in zip(facts.tasks, facts.rates, strict=True) if rate > 0
        },
        "baselines": [each.id for each in chosen if each.role == "baseline"],
        "seed": part.run.request.seed,
        "unseen": True,
        "recalibrate": False,
    }
    if whole:
        options["part"] = part_column
        options |= {"time": later} if part.card.split_times else {}
    options |= _options_beside(beside, ranked.rows[CONFIRM])
    options |= _today(ranked, models, score, facts)
    served = result.decision.serving.served
    if served is not None:
        options["outcomes"] = list(served.names)
    policy = result.decision.policy.model_dump(
        mode="json", exclude_unset=True, exclude={"score", "retrain"}
    )
    if policy:
        options["policy"] = policy
    return pd.concat(tables, ignore_index=True), options


def _model_columns(
    chosen: Sequence[Candidate], ranked: Ranked, tasks: Sequence[str], names: _Names
) -> dict[str, dict[str, list[str]]]:
    """By point, by the name that `decide` has of each training, its columns by task. Equal seeds
    have equal numbers.
    """
    models = [candidate for candidate in chosen if not _is_score(candidate, ranked)]
    seeds = {
        seed: at
        for at, seed in enumerate(dict.fromkeys(seed for each in models for seed in each.seeds))
    }
    by_point: dict[str, dict[str, list[str]]] = {}
    for candidate in models:
        label = re.sub(r"\W+", "_", candidate.id)
        by_point[candidate.id] = {}
        for place in range(candidate.replicates):
            alone = candidate.replicates == 1
            training = "" if alone else str(seeds[candidate.seeds[place]])
            columns = [
                names.new("_".join(filter(None, ["p", task, label, training]))) for task in tasks
            ]
            by_point[candidate.id][candidate.id if alone else f"{candidate.id}#{training}"] = (
                columns
            )
    return by_point


def _predictions(
    chosen: Sequence[Candidate],
    models: Mapping[str, Mapping[str, list[str]]],
    split: str,
    tasks: Sequence[str],
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for candidate in chosen:
        for place, own in enumerate(models.get(candidate.id, {}).values()):
            predicted = candidate.predictions(split, place)
            columns |= {own[at]: predicted[:, at] for at in range(len(tasks))}
    return columns


def _beside(
    part: DatasetRun, rows: Mapping[str, KeptRows], names: _Names
) -> dict[str, dict[str, str]]:
    """By what they are columns beside labels and predictions: their names in the log by their names
    in the run.
    """
    card, facts = part.card, rows[CONFIRM]
    grouped = any((own.group >= 0).any() for own in rows.values())
    apart = card.units is not None and card.units != card.group
    shown = facts.exposure
    return {
        "group": {"group": names.new(card.group or "group")} if grouped else {},
        "units": {"units": names.new(str(card.units))} if apart else {},
        "segments": {name: names.new(name) for name in facts.segments},
        "items": {name: names.new(name) for name in card.items if name in facts.items},
        "item_numbers": {
            name: names.new(name) for name in card.item_numbers if name in facts.items
        },
        "exposure": {} if shown is None else {shown.kind: names.new(shown.column)},
    }


def _beside_columns(rows: KeptRows, beside: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in beside["group"].values():
        columns[name] = _or_missing(rows.group, rows.group >= 0)
    for name in beside["units"].values():
        known = (rows.units & OF_A_UNIT) > 0
        columns[name] = _or_missing((rows.units & ~OF_A_UNIT).astype(np.int64), known)
    for at, (segment, values) in enumerate(rows.segments.items()):
        columns[beside["segments"][segment]] = np.array([*values, None], dtype=object)[
            rows.codes[:, at]
        ]
    for item, name in beside["items"].items():
        columns[name] = _or_missing(
            np.nan_to_num(rows.items[item]).astype(np.int64), np.isfinite(rows.items[item])
        )
    for item, name in beside["item_numbers"].items():
        columns[name] = rows.items[item]
    for kind, name in beside["exposure"].items():
        assert rows.exposure is not None
        counts = rows.exposure.weights
        chance = np.divide(1.0, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        columns[name] = counts if kind == "random" else chance
    return columns


def _or_missing(values: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> Any:
    """Whole numbers, missing where they are not known."""
    return values if known.all() else pd.Series(values).astype("Int64").where(known)


def _options_beside(beside: Mapping[str, Mapping[str, str]], rows: KeptRows) -> dict[str, Any]:
    options: dict[str, Any] = {
        kind: name for key in ("group", "units") for kind, name in beside[key].items()
    }
    options |= {str(kind): name for kind, name in beside["exposure"].items()}
    options |= {key: dict(beside[key]) for key in ("items", "item_numbers") if beside[key]}
    if beside["segments"]:
        options["segments"] = [*beside["segments"].values()]
    return options


def _today(
    ranked: Ranked,
    models: Mapping[str, Mapping[str, list[str]]],
    score: str | None,
    facts: KeptRows,
) -> dict[str, Any]:
    """What is served today, as `decide` is told it; else what stands for it."""
    current = ranked.current
    assert current is not None
    if score is not None:
        return {"score": score}
    if not current.today or current.fusion is None:
        return {"today": current.id}
    columns = next(iter(models[current.id].values()))
    return {"today": current.id, "weights": formula_of(current.fusion, columns, facts.rates)}


def formula_of(fusion: Fusion, columns: Collection[str], rates: Sequence[float]) -> str:
    """A fusion as a formula of columns, to the last digit."""
    terms = [
        (quoted(column), weight, rate)
        for column, weight, rate in zip(columns, fusion.weights, rates, strict=True)
        if weight > 0
    ]
    if fusion.kind == "power":
        return " * ".join(f"{name}^{weight!r}" for name, weight, _ in terms)
    return " + ".join(f"{weight / rate!r} {name}" for name, weight, rate in terms)


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
