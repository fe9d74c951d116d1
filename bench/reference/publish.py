"""Adds rows to the published table, and remakes its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.atomic import write_text
from bench.data import load_card
from bench.errors import UserError
from bench.objectives import Objective
from bench.reference.answers import Answers, answer
from bench.reference.cells import cells_of
from bench.reference.execute import design_of, published
from bench.reference.page import document, markdown
from bench.reference.table import Row, Rows, read, write
from bench.suite import load_suite, resolve_objectives

NAME = "reference"
"""Of the page's files."""


@dataclass(frozen=True)
class Published:
    """What was written: rows in the table, how many of them are new, and the answers."""

    rows: int
    new: int
    table: Path
    answers: Answers


def publish(home: Path, suite_name: str, table: Path | None, folder: Path | None) -> Published:
    """Adds the rows at home to the table of a suite, and writes the page where a folder is given.

    Args:
        table: instead of the one beside the suite.
        folder: for `reference.md` and `reference.html`.

    Raises:
        UserError: a suite without a design, or no row.
        Unwritable: there is no room, or no permission.
    """
    suite = load_suite(suite_name)
    design = design_of(suite)
    file = table or published(suite_name)
    before = {row.key for row in read(file)}
    rows: list[Row] = [row for row in Rows(home, file) if not row.failure]
    if not rows:
        raise UserError(
            f"expected rows of {suite_name} at home or in {file}, found none; `seesaw run {suite_name}` makes them"
        )
    objectives: dict[str, tuple[Objective, ...]] = {}
    for dataset in suite.datasets:
        card = load_card(dataset.id)
        by_name = {task.name: task for task in card.tasks}
        objectives[dataset.id] = resolve_objectives(
            dataset, tuple(by_name[name] for name in dataset.tasks or card.default_tasks)
        )
    given = {dataset.id: dataset.reference for dataset in suite.datasets}
    found = answer(rows, objectives, given, design.sharing, list(design.ranges))
    cells = cells_of(design, [dataset.id for dataset in suite.datasets])
    write(rows, file)
    if folder is not None:
        command = f"seesaw publish {suite_name} --page docs"
        write_text(folder / f"{NAME}.md", markdown(found, cells, design.seeds, command))
        write_text(folder / f"{NAME}.html", document(found, cells, design.seeds))
    return Published(len(rows), len(rows) - len(before), file, found)
