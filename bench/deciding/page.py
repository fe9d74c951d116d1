"""Files of a decision: its page, all its cells, itself as JSON, and what was asked."""

from __future__ import annotations

import json
from pathlib import Path

from bench.core.errors import UserError
from bench.core.plain import jsonable
from bench.core.rows import TEST
from bench.deciding.decision import LogDecision
from bench.report import text
from bench.report.page import write_page
from bench.report.view import View
from bench.results.ledger import CELLS, write_cells
from bench.system.atomic import atomic_folder

HEADERS = ["model", "task", "rows", "AUC", "predicted / happened", "calibration error"]
PAGE, JSON, ASKED = "report.html", "decision.json", "decide.toml"


def view_of(decision: LogDecision) -> View:
    """What a page shows of a decision."""
    asked, served = decision.asked, decision.serving.served
    against = [f"All are compared with {decision.against}."] if served else []
    names = [Path(each).name for each in asked.log] or ["a table"]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return View.of(
        decision,
        records=(),
        title=title,
        dataset=title,
        about=f"{len(asked.named)} models, {len(asked.labels)} tasks, {decision.rows[TEST].of:,} rows that judge",
        current=" ".join([*against, *decision.notes]),
        also=decision.readings,
        predictions=(HEADERS, [[*each[:3], *map(text.number, each[3:])] for each in decision.calibration]),
    )


def target(folder: Path) -> Path:
    """A folder that is new, empty or of an earlier decision; raises UserError if it has other files."""
    path = folder.expanduser().resolve()
    if path.exists() and not (path / ASKED).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"expected a new folder, or that of an earlier decision, found {folder}")
    return path


def write(decision: LogDecision, folder: Path) -> Path:
    """Writes a folder with all files, whole or not at all, and returns the page's path; see `target`."""
    folder = target(folder)
    with atomic_folder(folder) as temporary:
        write_page([view_of(decision)], temporary / PAGE, "Decision on a log")
        write_cells(decision.cells, temporary / CELLS)
        document = json.dumps(jsonable(decision.document), indent=2, allow_nan=False)
        (temporary / JSON).write_text(document, encoding="utf-8")
        (temporary / ASKED).write_text(decision.asked.toml, encoding="utf-8")
    return folder / PAGE
