"""Collects all runs of a home for the board, and writes the board's files."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from bench.atomic import atomic_path, write_text
from bench.errors import UserError
from bench.lock import is_held
from bench.report.board import BoardPart, BoardRun, State, board_document, broken
from bench.report.effort import failures
from bench.run.folder import MANIFEST, DatasetRun, Run, slug
from bench.run.page import is_drawn, page_path, view_of
from bench.run.result import result_of
from bench.run.status import STATES
from bench.search.study import Study

PAGES = "runs"


def board_runs(home: Path) -> list[BoardRun]:
    """Every run's state and fronts, the newest first; one that cannot be read is there with the reason."""
    folders = [path for path in home.glob("runs/*") if path.is_dir() and not path.name.startswith(".")]
    found = [(_created(folder), _run(home, folder)) for folder in folders]
    return [run for _, run in sorted(found, key=lambda each: (each[0], each[1].name), reverse=True)]


def write_board(home: Path, out: Path) -> tuple[Path, list[BoardRun]]:
    """Writes `index.html` into a folder, and beside it a copy of each run's page, so that the folder is complete."""
    page, runs = board_document(board_runs(home), str(home))
    for run in runs:
        if run.link is not None:
            with atomic_path(out / run.link) as temporary:
                shutil.copyfile(home / "runs" / run.name / "report.html", temporary)
    index = out / "index.html"
    write_text(index, page)
    return index, runs


def _created(folder: Path) -> float:
    """When a run was made: its manifest is written once. A folder without one counts by its own time."""
    manifest = folder / MANIFEST
    try:
        return (manifest if manifest.is_file() else folder).stat().st_mtime
    except OSError:  # it was deleted just now, or may not be looked into: reading it says so
        return 0.0


def _run(home: Path, folder: Path) -> BoardRun:
    try:
        if not (folder / MANIFEST).is_file():
            raise UserError(f"expected {MANIFEST} in {folder}, found none")
        run = Run.open(home, folder.name)
        parts = tuple(_part(part) for part in run.datasets.values())
        has_page = page_path(run).is_file()
        if has_page:
            page_path(run).open("rb").close()  # it is copied
        state, note = _state(run, parts)
    except Exception as error:  # shown, whatever it is: the other runs are read
        return broken(folder.name, error)
    manifest = run.manifest
    link = f"{PAGES}/{slug(folder.name)}.html" if has_page else None
    return BoardRun(folder.name, state, manifest.suite_name, manifest.created, parts, note, link)


def _part(part: DatasetRun) -> BoardPart:
    if not Study.exists(part.folder):
        return BoardPart(part.card.key, "no trial yet", None)
    result = result_of(part)
    counts = Counter[str](record.state for record in result.records)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no trial yet"
    return BoardPart(part.card.key, told, view_of(result))


def _state(run: Run, parts: tuple[BoardPart, ...]) -> tuple[State, str]:
    if is_held(run.folder):
        return "running", ""
    failed = [each for part in parts if part.view for each in failures(part.view.records)]
    if failed and not any(part.view and part.view.trials for part in parts):
        return "failed", failed[0].reason
    return ("done", "") if is_drawn(run) else ("stopped", f"seesaw resume {run.folder.name} goes on")
