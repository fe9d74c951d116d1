"""One section of the page: a run on one data set. Words are made here; scripts draw the rest from `embed`."""

from __future__ import annotations

from bench.report import text
from bench.report.effort import Spent
from bench.report.embed import section_data
from bench.report.failures import Failed
from bench.report.markup import escaped, identifier, joined, packed, pairs, scrolling, sentence
from bench.report.picture import picture
from bench.report.view import View
from bench.rows import NAMES, SEARCH

KINDS = {"win": "Clear win", "trade": "Trade", "tie": "Tie", "baseline": "A baseline does it", "unknown": "Cannot tell"}


def section(view: View, place: int) -> str:
    """The section; `place` makes its ids its own among the sections of a page."""
    id = section_id(view, place)
    kind, told = view.verdict
    first, rest = text.split(told)
    return joined(
        [
            f'<section class="run" id="{id}" aria-labelledby="{id}-title" data-place="{place}">',
            f'<header class="top"><h2 id="{id}-title">{escaped(view.title)}</h2>',
            f"<p>{escaped(text.dataset(view.dataset))}</p></header>",
            f'<p class="verdict {kind}"><strong>{KINDS[kind]}</strong> <span>{sentence(first)}</span></p>'
            if told
            else "",
            f'<div class="first{"" if view.decision else " alone"}">',
            f'<p class="rest">{sentence(rest)}</p>' if rest else "",
            '<div class="stage">',
            f'<div class="bar" hidden></div><div class="plot"><noscript>{picture(view)}</noscript></div>',
            f'<p class="note">{escaped(view.current)}</p>' if view.current else "",
            "</div>",
            '<form class="matters" aria-label="What matters to you" hidden></form>' if view.decision else "",
            "</div>",
            f'<p class="note">{escaped(view.cut_short)}</p>' if view.cut_short else "",
            f'<p class="note"><strong>No pick.</strong> {sentence(view.no_pick)}</p>' if view.no_pick else "",
            '<h3>Shortlist</h3><div class="shortlist"></div><div class="segments"></div><div class="compared"></div>',
            _commands(view),
            "<h3>Why</h3>" if view.why or view.decision else "",
            f'<div class="why">{"".join(f"<p>{sentence(each)}</p>" for each in view.why)}</div>',
            '<div class="map"></div>' if view.decision else "",
            _search(view),
            packed(f"{id}-data", section_data(view)),
            "</section>",
        ]
    )


def section_id(view: View, place: int) -> str:
    """Where links to the section lead."""
    return f"{identifier(view.dataset)}-{place}"


def _commands(view: View) -> str:
    rows = "".join(
        f'<div class="command"><span>{escaped(what)}</span><pre tabindex="0"><code>{escaped(command)}</code></pre>'
        '<button type="button" data-action="copy">Copy</button></div>'
        for what, command in view.commands
        if command
    )
    policy = f"<pre tabindex='0'><code>{escaped(view.policy.strip())}</code></pre>" if view.policy else ""
    policy = f"<details><summary>The run's policy</summary>{policy}</details>" if policy else ""
    return f'<div class="commands">{rows}{policy}</div>' if rows or policy else ""


def _search(view: View) -> str:
    return joined(
        [
            f"<h3>The search</h3><p class='note'>{text.count(view.trials, 'point')}; "
            f"hypervolume of the front of heads {text.number(view.hypervolume)}.</p>",
            '<details class="fold" data-part="points"><summary>All points of the search</summary>'
            '<div class="points"></div></details>',
            '<details class="fold" data-part="course"><summary>How it went: hypervolume, and which settings mattered'
            f'</summary><p class="note">On {NAMES[SEARCH]}.</p><div class="course"></div>',
            f"{_spent(view.spent)}</details>",
            f'<details class="fold"><summary>Failures: {text.count(sum(each.runs for each in view.failures), "run")}'
            f"</summary>{_failures(view.failures)}</details>"
            if view.failures
            else "",
            f'<details class="fold"><summary>How it was made</summary>{pairs(view.made, "made")}</details>'
            if view.made
            else "",
        ]
    )


def _spent(spent: tuple[Spent, ...]) -> str:
    stages = list(dict.fromkeys(stage for each in spent for stage, _ in each.samples))
    rows = [[each.kind, *(f"{dict(each.samples).get(stage, 0):,}" for stage in stages)] for each in spent]
    return table(("training samples", *stages), rows, "Training samples by sharing kind", 1) if spent else ""


def _failures(failed: tuple[Failed, ...]) -> str:
    rows = [[each.kind, each.reason, text.listed(each.trials), f"{each.runs}"] for each in failed]
    return table(("kind", "reason", "trials", "runs"), rows, "Failures by reason", 3)


def table(heads: tuple[str, ...], rows: list[list[str]], name: str, numbers: int) -> str:
    """A table of texts; columns from `numbers` on are numbers."""
    styles = ['class="number"' if column >= numbers else "" for column in range(len(heads))]
    head = "".join(f'<th scope="col" {style}>{escaped(each)}</th>' for each, style in zip(heads, styles, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td {style}>{escaped(cell)}</td>' for cell, style in zip(row, styles, strict=True))}</tr>"
        for row in rows
    )
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", name)
