"""Files of a decision: its page, all its cells, itself as JSON, and what was asked."""

from __future__ import annotations

import json
from pathlib import Path

from bench.app.report import text
from bench.app.report.page import write_page
from bench.app.report.section import PageSection
from bench.core.errors import UserError
from bench.core.plain import jsonable
from bench.core.rows import TEST
from bench.core.system.atomic import atomic_folder
from bench.deciding.logged.log_decision import LogResult
from bench.ledger.ledger import CELLS, write_cells

HEADERS = ["model", "task", "rows", "AUC", "predicted / happened", "calibration error"]
PAGE, JSON, ASKED = "report.html", "decision.json", "decide.toml"


def section_of(result: LogResult) -> PageSection:
    """What a page shows of a decision."""
    asked, decision = result.asked, result.decision
    compared = []
    if decision.serving.served:
        compared.append(f"All are compared with {decision.against}.")
    names = [Path(file).name for file in asked.log] or ["a table"]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    models, tasks, rows = len(asked.trainings), len(asked.labels), result.rows[TEST].of
    fits = []
    for model, task, count, *measures in result.calibration:
        fits.append([model, task, count, *map(text.number, measures)])
    return PageSection(
        decision=decision,
        title=title,
        dataset=title,
        about=f"{models} models, {tasks} tasks, {rows:,} rows that judge",
        current=" ".join([*compared, *result.notes]),
        remarks=decision.readings,
        predictions=(HEADERS, fits),
    )


def target(folder: Path) -> Path:
    """A folder that is new, empty or of an earlier decision; raises UserError if it has other
    files.
    """
    path = folder.expanduser().resolve()
    if not path.exists() or (path / ASKED).is_file():
        return path
    if not path.is_dir() or any(path.iterdir()):
        raise UserError(f"expected a new folder, or that of an earlier decision, found {folder}")
    return path


def write(result: LogResult, folder: Path) -> Path:
    """Writes a folder with all files, whole or not at all, and returns the page's path; see
    `target`.
    """
    folder = target(folder)
    with atomic_folder(folder) as temporary:
        write_page([section_of(result)], temporary / PAGE, "Decision on a log")
        write_cells(result.decision.cells, temporary / CELLS)
        document = json.dumps(jsonable(result.document), indent=2, allow_nan=False)
        (temporary / JSON).write_text(document, encoding="utf-8")
        (temporary / ASKED).write_text(result.asked.toml, encoding="utf-8")
    return folder / PAGE
