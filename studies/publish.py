"""Adds rows to a suite's published table, also those of finished runs, and answers its questions.

python studies/publish.py reference [RUN ..] [--table FILE] [--page docs/studies] [--home DIR]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from reference.answers import Answers, answer
from reference.page import document, markdown
from reference.papers import Papers

from bench import __version__
from bench.app.reference.cells import SEARCH as JOINT
from bench.app.reference.cells import cells_of
from bench.app.reference.design_runs import content_of, design_of, published
from bench.app.reference.one_training import RESAMPLES, served
from bench.app.reference.table import RESAMPLED_SEEDS, KnownRows, Row, read, write
from bench.app.runs.comparing import members_of
from bench.app.runs.folder import STORE, DatasetRun, Run
from bench.app.runs.suite import Suite, load_suite
from bench.app.runs.suite_objectives import resolve_objectives, resolve_outcomes
from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Point, Replicate
from bench.core.rows import SEARCH, TEST
from bench.core.system.atomic import write_text
from bench.core.system.content import read_toml
from bench.core.system.home import resolve_home
from bench.core.system.machine import processor
from bench.core.validation import validate
from bench.data import Store, load_card
from bench.measure.predictions import FOLDER as PREDICTIONS
from bench.measure.predictions import name_of, predictions, read_rows
from bench.search.study import Study

NAME = "reference"
"""Of the page's files."""
PAPERS = "papers.toml"
"""Beside a suite: what others published on its data."""


@dataclass(frozen=True)
class Published:
    """What was written: rows in the table, how many of them are new, and the answers."""

    rows: int
    new: int
    table: Path
    answers: Answers


def publish(
    home: Path,
    suite_name: str,
    runs: Sequence[str] = (),
    table: Path | None = None,
    folder: Path | None = None,
) -> Published:
    """Adds the rows at home, and those of finished runs, to the table of a suite; writes the page
    into a folder.

    Args:
        runs: names or paths of searches on data sets of the suite, with its tasks and objectives.
        folder: for `reference.md` and `reference.html`; None for no page.

    Raises:
        UserError: a suite without a design, a run that is not of its data, or no row.
        Unwritable: there is no room, or no permission.
    """
    suite = load_suite(suite_name)
    design = design_of(suite)
    objectives = objectives_of(suite)
    file = table or published(suite_name)
    before = {row.key for row in read(file)}
    added = [row for name in runs for row in _rows_of(Run.open(home, name), suite_name, objectives)]
    row_by_key = {row.key: row for row in (*KnownRows(home, file), *added) if not row.failure}
    if not row_by_key:
        hint = f"`seesaw run {suite_name}` makes them"
        raise UserError(f"expected rows of {suite_name} at home or in {file}, found none; {hint}")
    rows = list(row_by_key.values())
    references = {dataset.id: dataset.reference for dataset in suite.datasets}
    cited = published(suite_name).parent / PAPERS
    papers = validate(Papers, read_toml(cited), str(cited)).sources if cited.is_file() else ()
    margins = {dataset.id: dataset for dataset in suite.datasets}
    answers = answer(
        rows, objectives, references, design.sharing, list(design.ranges), papers, margins
    )
    cells = cells_of(design, [dataset.id for dataset in suite.datasets])
    write(rows, file)
    if folder is not None:
        command = f"python studies/publish.py {suite_name} --page docs/studies"
        write_text(folder / f"{NAME}.md", markdown(answers, cells, design.seeds, command))
        write_text(folder / f"{NAME}.html", document(answers, cells, design.seeds))
    return Published(len(rows), len(row_by_key.keys() - before), file, answers)


def objectives_of(suite: Suite) -> dict[str, tuple[Objective, ...]]:
    """By data set of a suite."""
    by_dataset = {}
    for dataset in suite.datasets:
        card = load_card(dataset.id)
        tasks = dataset.tasks_of(card.tasks, card.default_tasks)
        by_dataset[dataset.id] = resolve_objectives(dataset, tasks, ranked=())
    return by_dataset


def _rows_of(run: Run, suite: str, objectives: dict[str, tuple[Objective, ...]]) -> Iterator[Row]:
    """A row for each replicate of the trials that a search confirmed, as a method of its own."""
    for part in run.datasets.values():
        part_objectives = part.objectives
        if objectives.get(part.key) != part_objectives:
            names = ", ".join(objective.name for objective in part_objectives)
            raise UserError(
                f"{run.name}: expected a data set of {suite} with its objectives, found "
                f"{part.key}: {names}"
            )
        store = json.loads((part.folder / STORE).read_text(encoding="utf-8"))["path"]
        content = content_of(Store.open(store).with_tasks([task.name for task in part.tasks]))
        for member in members_of(part, Study.read(part.folder), part_objectives):
            if member.point.kind == "trial":
                yield from (
                    _row_of(part, content, member.point, replicate, part_objectives)
                    for replicate in member.point.replicates
                    if replicate.failure is None
                    and part_objectives[0].key(TEST) in replicate.metrics
                )


def _row_of(
    part: DatasetRun, content: str, point: Point, run: Replicate, objectives: Sequence[Objective]
) -> Row:
    folder = part.folder / PREDICTIONS
    rows = read_rows(folder, TEST)
    predicted = predictions(folder, TEST, name_of(point.training, run.replicate))
    group = np.empty(0) if rows is None else rows.group
    outcomes = tuple(outcome.name for outcome in resolve_outcomes(part.dataset, part.tasks, group))
    values = (
        np.array(list(served(str(folder), outcomes, predicted).values())).T
        if predicted is not None
        else np.empty((1, 0))
    )
    heads = [objective.key(TEST) for objective in objectives]
    row = Row(
        data=part.key,
        content=content,
        sharing=JOINT,
        balancing=f"search by {part.run.suite.search.sampler}",
        kind="trial",
        seed=run.seed,
        config={"point": point.id, **point.config},
        objectives=tuple(objective.name for objective in objectives),
        outcomes=outcomes,
        valid=[point.metrics.get(objective.key(SEARCH), math.nan) for objective in objectives],
        test=[run.metrics[key] for key in heads],
        served=values[0].tolist(),
        parameters=int(point.metrics.get("cost/parameters", 0)),
        latency_ms=run.metrics.get("cost/latency_ms", math.nan),
        samples=point.samples or 0,
        version=__version__,
        machine=processor(),
    )
    if run.replicate > RESAMPLED_SEEDS or not all(key in run.resampled for key in heads):
        return row
    moved = np.array([run.resampled[key][:RESAMPLES] for key in heads]).T
    return replace(
        row,
        test_moved=moved.ravel().tolist(),
        served_moved=(values[1:] - values[0]).ravel().tolist(),
    )


def main() -> None:
    """Publishes what is at home."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", help="with a design, as reference")
    parser.add_argument("runs", nargs="*", help="searches on its data to add")
    parser.add_argument("--table", type=Path, help="instead of the one beside the suite")
    parser.add_argument("--page", type=Path, help="folder for the page, as Markdown and HTML")
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    try:
        result = publish(
            resolve_home(options.home), options.suite, options.runs, options.table, options.page
        )
    except UserError as error:
        parser.error(str(error))
    print(result.answers.sentence)
    print(f"table: {result.table}, {result.rows:,} rows, {result.new:,} of them new")


if __name__ == "__main__":
    main()
