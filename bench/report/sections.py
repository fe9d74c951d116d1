"""One section of the page: a run on one dataset, from its numbers to how it was made."""

from __future__ import annotations

from typing import get_args

from bench.report import effort_sections as effort
from bench.report import front_sections as front
from bench.report import plots, text, theme
from bench.report.cards import cards
from bench.report.charts import chart, legend
from bench.report.markup import escaped, glyph, identifier, joined, packed, pairs, sentence
from bench.report.stability import stability_section
from bench.report.tables import failure_table, gain_table, settings
from bench.report.view import PageView, Trial
from bench.rows import CONFIRM, NAMES, SEARCH

QUESTION = "Does any gradient method lie beyond the front of static weights?"

ROW = 40
"""Height of a row in a dot plot, in pixels."""


def section(view: PageView, place: int) -> str:
    """The section; `place` makes its ids its own among the sections of a page."""
    id = section_id(view, place)
    return joined(
        [
            f'<section class="run" id="{id}" aria-labelledby="{id}-title" data-cards="{id}-cards">',
            f'<h2 id="{id}-title">{escaped(view.title)}</h2><p>{escaped(view.dataset)}</p>',
            _headlines(view),
            f'<p class="note">{escaped(view.cut_short)}</p>' if view.cut_short else "",
            f'<p class="note">{QUESTION} {sentence(view.answer)}</p>' if view.answer else "",
            _pick(view),
            stability_section(view),
            front.front(view, id),
            front.baselines(view),
            front.across(view, id),
            _kinds(view, id),
            _gains(view),
            effort.matters(view, id),
            effort.hypervolume(view, id),
            effort.budget(view, id),
            effort.shrinkage(view, id),
            _failures(view),
            "<h3>How it was made</h3>" + pairs(view.made, "made") if view.made else "",
            packed(f"{id}-cards", cards(view)),
            "</section>",
        ]
    )


def section_id(view: PageView, place: int) -> str:
    """Where links to the section lead."""
    return f"{identifier(view.dataset)}-{place}"


def _headlines(view: PageView) -> str:
    tiles = "".join(
        f'<div><dt>{escaped(each.label)}</dt><dd class="value">{escaped(each.value)}</dd>'
        f'<dd class="detail">{escaped(each.detail)}</dd></div>'
        for each in view.headlines
    )
    return f'<dl class="headlines">{tiles}</dl><p class="note">Best values and hypervolume: {NAMES[view.split]}.</p>'


def _pick(view: PageView) -> str:
    if view.picked is None:
        return f'<article class="pick"><h3>No pick</h3><p>{escaped(view.no_pick)}</p></article>' if view.no_pick else ""
    picked, trial = view.picked, view.trial(view.picked.id)
    mark = glyph(theme.looks(view.sharing_kinds)[trial.sharing])
    parts = [
        f"<h3>Picked: trial {picked.trial}</h3>",
        f'<p class="what">{mark}{escaped(picked.architecture)}, {escaped(trial.balancing)}{_length(view, trial)}</p>',
        f"<p>{escaped(picked.reason)}</p>",
    ]
    if picked.removed:
        items = "".join(f"<li>{escaped(name)}: {escaped(reason)}</li>" for name, reason in picked.removed)
        points = text.count(len(picked.removed), "point")
        parts.append(f"<details><summary>{points} passed over by the guard</summary><ul>{items}</ul></details>")
    parts.append(settings(trial, text.count(len(trial.params), "setting")))
    if picked.command:
        button = '<button type="button" data-action="copy">Copy</button>'
        code = f'<pre tabindex="0"><code>{escaped(picked.command)}</code></pre>'
        parts.append(f'<p class="note">Train it again:</p><div class="command">{code}{button}</div>')
    return f'<article class="pick">{"".join(parts)}</article>'


def _length(view: PageView, trial: Trial) -> str:
    return "" if trial.samples is None else f", {text.length(trial.samples, trial.until, view.full)}"


def _kinds(view: PageView, id: str) -> str:
    blocks = []
    for by in get_args(plots.By):
        charts = []
        for i, axis in enumerate(view.axes):
            if rows := len(plots.ranked(view, by, i)):
                figure = plots.kinds_figure(view, by, i)
                charts.append(chart(figure, f"{id}-{by}-{i}", axis.label, f"{ROW * rows + 84}px", caption=True))
        if charts:
            title = f'<h4 class="axis">{by.capitalize()}</h4>'
            blocks.append(f'{title}<div class="figures">{"".join(charts)}</div>')
    if not blocks:
        return ""
    note = (
        f"Every trial by the one run that the search saw, on {NAMES[SEARCH]}; the best kind on top and its best value "
        "written out; a kind that was tried more often had more chances. Dashed: the best single-task trial."
        + _stopped(view)
    )
    return joined(["<h3>Best of each kind</h3>", f'<p class="note">{note}</p>', legend(view), *blocks])


def _stopped(view: PageView) -> str:
    """What to know where trials of unequal length stand beside each other."""
    if not view.stopped:
        return ""
    return (
        f" {view.stopped:,} trials that the search stopped early are shown as they were then, trained on less; a trial "
        "stands at every rung where none other of its own was better."
    )


def _gains(view: PageView) -> str:
    if not view.gains:
        return ""
    boxes = "".join(
        f"<div><h4>{escaped(table.label)}{' × 1000' if table.scale > 1 else ''}</h4>{gain_table(table)}</div>"
        for table in view.gains
    )
    known = any(cell and cell.half_width for table in view.gains for row in table.cells for cell in row)
    interval = " Below it its 90% interval; bold is more than that." if known else ""
    note = (
        "The best trial of each sharing and balancing kind against the best single-task trial, and its number. "
        f"Positive is better. Values are on {NAMES[CONFIRM]}.{interval} Framed cells hold no confirmed trial: their "
        f"best was trained once, is on {NAMES[SEARCH]}, and is too good on average." + _stopped(view)
    )
    return f'<h3>Gain over single task</h3><p class="note">{note}</p><div class="figures">{boxes}</div>'


def _failures(view: PageView) -> str:
    if not view.failures:
        return ""
    runs = text.count(sum(each.runs for each in view.failures), "run")
    return f'<h3>Failures</h3><p class="note">{runs} failed, replicates included.</p>{failure_table(view.failures)}'
