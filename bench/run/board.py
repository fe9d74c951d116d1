"""The board: all runs of a home on one page, their fronts side by side. No script, and no request."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.atomic import atomic_path, write_text
from bench.errors import UserError
from bench.lock import is_held
from bench.report import text
from bench.report.effort import failures
from bench.report.markup import Look, escaped, glyph, joined, looks_of, sentence
from bench.report.page import whole
from bench.report.picture import picture
from bench.report.view import View, axes_of
from bench.run.folder import MANIFEST, DatasetRun, Run, slug
from bench.run.page import is_drawn, page_path, view_of
from bench.run.result import result_of
from bench.run.status import STATES
from bench.search.study import Study

Looks = dict[str, Look]
State = Literal["done", "running", "stopped", "failed", "broken"]
EXPLAINED: dict[State, str] = {
    "done": "searched and confirmed",
    "running": "a driver is at work",
    "stopped": "stopped on its way; `seesaw resume` goes on",
    "failed": "no trial has a result",
    "broken": "its folder cannot be read",
}


@dataclass(frozen=True)
class BoardPart:
    """One data set's part of a run: how many trials are in which state, and its view; None before any trial."""

    dataset: str
    counts: str
    view: View | None


@dataclass(frozen=True)
class BoardRun:
    """A run; `note` says what is wrong with it, `link` leads to its page where it has one."""

    name: str
    state: State
    suite: str
    created: str
    parts: tuple[BoardPart, ...] = ()
    note: str = ""
    link: str | None = None


def broken(name: str, error: Exception) -> BoardRun:
    """A run that cannot be shown, with the reason: the others are."""
    return BoardRun(name, "broken", "", "", note=str(error) if isinstance(error, UserError) else repr(error))


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


def board_document(runs: Sequence[BoardRun], home: str) -> tuple[str, list[BoardRun]]:
    """The page as text, a card for each run, in the order given; and the runs as it has them, see `broken`."""
    views = [part.view for run in runs for part in run.parts if part.view is not None]
    looks = looks_of(kind for view in views for kind in view.fronts[0].table["architecture"])
    drawn = [_drawn(run, looks) for run in runs]
    keys = "".join(f"<li>{glyph(look)}{escaped(kind)}</li>" for kind, look in looks.items())
    count = text.count(len(runs), "run")
    note = "Differences on test from what is served, or from single-task models; large marks are on the front."
    body = [
        f'<p class="note">{note}</p><ul class="notation" aria-label="Architectures">{keys}</ul>' if keys else "",
        f'<div class="board">{"".join(card for _, card in drawn)}</div>',
        "" if runs else '<p class="note">No run yet: <code>seesaw run quick</code> makes one.</p>',
    ]
    return whole("Board", f"{count} in {home}", body, figures=False), [run for run, _ in drawn]


def _drawn(run: BoardRun, looks: Looks) -> tuple[BoardRun, str]:
    try:
        return run, _card(run, looks)
    except Exception as error:  # a bug of ours must not take the other runs away
        return (shown := broken(run.name, error)), _card(shown, looks)


def _card(run: BoardRun, looks: Looks) -> str:
    name = escaped(run.name)
    title = f'<a href="{escaped(run.link)}">{name}</a>' if run.link else name
    about = ", ".join(filter(None, (run.suite, run.created[:16].replace("T", " "))))
    return joined(
        [
            f'<article class="card {run.state}"><header><h2>{title}</h2>'
            f'<span class="state" title="{escaped(EXPLAINED[run.state])}">{run.state}</span></header>',
            f'<p class="muted">{escaped(about)}</p>',
            f'<p class="wrong">{escaped(run.note)}</p>' if run.note else "",
            *(_front(part, looks) for part in run.parts),
            "</article>",
        ]
    )


def _front(part: BoardPart, looks: Looks) -> str:
    found = [f"<h3>{escaped(part.dataset)}</h3>"]
    if part.view is not None:
        first, said = part.view.fronts[0], part.view.verdict
        axes = axes_of(first)
        found.append(f'<p class="verdict {said.kind}">{sentence(said.told[0])}</p>')
        found.append(picture(part.view, looks=looks))
        if len(axes) > 2 and first.front.any():
            found.append(
                f'<p class="muted">The first two of {len(axes)}: {escaped(", ".join(a.label for a in axes))}.</p>'
            )
    return "".join([*found, f'<p class="muted">{escaped(part.counts)}</p>'])
