"""The board: all runs of a home on one page, their fronts side by side. No script, and no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.errors import UserError
from bench.report import text, theme
from bench.report.markup import escaped, glyph, joined
from bench.report.page import whole
from bench.report.thumbnail import Range, ranges, thumbnail
from bench.report.view import PageView
from bench.rows import CONFIRM, NAMES, SEARCH, SHORT

Scales = dict[tuple[object, ...], tuple[Range, ...]]
Looks = dict[str, theme.Look]
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
    """One data set's part of a run: its name, how many trials are in which state, and its view; None before any trial.

    `fingerprint` is of the data: fronts are drawn on one scale where it is the same.
    """

    dataset: str
    fingerprint: str
    counts: str
    view: PageView | None


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


def board_document(runs: Sequence[BoardRun], home: str) -> tuple[str, list[BoardRun]]:
    """The page as text, a card for each run, in the order given; and the runs as it has them, see `broken`."""
    scales = _scales(runs)
    kinds = theme.ordered(kind for part in _parts(runs) for kind in (part.view.sharing_kinds if part.view else ()))
    looks = theme.looks(kinds)
    drawn = [_drawn(run, scales, looks) for run in runs]
    keys = "".join(f"<li>{glyph(look)}{escaped(kind)}</li>" for kind, look in looks.items())
    count = text.count(len(runs), "run")
    note = (
        f"Confirmed runs are on {NAMES[CONFIRM]}, others on {NAMES[SEARCH]}. Large marks are on the front. "
        "Fronts on the same data are drawn on the same scale."
    )
    body = [
        f'<p class="note">{note}</p><ul class="notation" aria-label="Sharing kinds">{keys}</ul>' if keys else "",
        f'<div class="board">{"".join(card for _, card in drawn)}</div>',
        "" if runs else '<p class="note">No run yet: <code>seesaw run quick</code> makes one.</p>',
    ]
    return whole("Board", f"{count} in {home}", body, figures=False), [run for run, _ in drawn]


def _drawn(run: BoardRun, scales: Scales, looks: Looks) -> tuple[BoardRun, str]:
    try:
        return run, _card(run, scales, looks)
    except Exception as error:  # a bug of ours must not take the other runs away
        return (shown := broken(run.name, error)), _card(shown, scales, looks)


def _parts(runs: Sequence[BoardRun]) -> list[BoardPart]:
    return [part for run in runs for part in run.parts]


def _scale(part: BoardPart) -> tuple[object, ...]:
    assert part.view is not None
    return part.dataset, part.fingerprint, tuple(axis.name for axis in part.view.axes)


def _scales(runs: Sequence[BoardRun]) -> Scales:
    views: dict[tuple[object, ...], list[PageView]] = {}
    for part in _parts(runs):
        if part.view is not None:
            views.setdefault(_scale(part), []).append(part.view)
    return {scale: ranges(group) for scale, group in views.items()}


def _card(run: BoardRun, scales: Scales, looks: Looks) -> str:
    name = escaped(run.name)
    title = f'<a href="{escaped(run.link)}">{name}</a>' if run.link else name
    about = ", ".join(filter(None, (run.suite, run.created)))
    return joined(
        [
            f'<article class="card {run.state}"><header><h2>{title}</h2>'
            f'<span class="state" title="{escaped(EXPLAINED[run.state])}">{run.state}</span></header>',
            f'<p class="muted">{escaped(about)}</p>',
            f'<p class="wrong">{escaped(run.note)}</p>' if run.note else "",
            *(_part(part, scales, looks) for part in run.parts),
            "</article>",
        ]
    )


def _part(part: BoardPart, scales: Scales, looks: Looks) -> str:
    found = [f"<h3>{escaped(part.dataset)}</h3>"]
    if part.view is not None:
        found.append(thumbnail(part.view, scales[_scale(part)], looks))
        if len(part.view.axes) > 2 and part.view.front:
            found.append(f'<p class="muted">The first two of {len(part.view.axes)} objectives.</p>')
        best = [f"best {axis.label} {text.number(axis.best.value)}" for axis in part.view.axes if axis.best]
        volume = (
            [f"hypervolume {text.number(part.view.hypervolume)} on {SHORT[part.view.split]}"] if part.view.front else []
        )
        found.append(f'<p class="muted">{escaped(", ".join([*best, *volume]))}</p>')
    return "".join([*found, f'<p class="muted">{escaped(part.counts)}</p>'])
