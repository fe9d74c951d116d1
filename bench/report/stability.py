"""How the pick changes with the weights of the objectives, and with the seeds: a strip, and a table below it."""

from __future__ import annotations

from bench.frontier.stability import Stability
from bench.report import text, theme
from bench.report.findings import identified
from bench.report.markup import escaped, glyph, joined, scrolling
from bench.report.view import PageView, Trial
from bench.rows import NAMES

WIDTH, HEIGHT = 24, 28
"""Of a weight in the strip, in its own units; it is drawn as wide as the page."""


def stability_section(view: PageView) -> str:
    """Who would be picked by a weighted sum, over all weights; empty where nothing was picked."""
    found = view.stability
    if found is None or len(found.points) < 2:
        return ""
    seeds = ", and how often with other seeds" if found.sure is not None else ""
    note = (
        f"Which model wins as you shift importance between tasks{seeds}: the largest weighted sum of the points that "
        f"the guard lets through, each objective scaled to its range among them, on {NAMES[view.split]}. Where one "
        "model wins nearly everywhere, the weights matter little."
    )
    return joined(
        [
            "<h3>How the pick changes</h3>",
            f'<p class="note">{note}</p>',
            _strip(view, found) if len(found.objectives) == 2 else "",
            _table(view, found),
        ]
    )


def _strip(view: PageView, found: Stability) -> str:
    """From all weight on the second objective to all on the first; the surer the winner, the fuller its colour."""
    cells = []
    order = sorted(range(len(found.weights)), key=lambda at: found.weights[at][0])
    for place, at in enumerate(order):
        point, sure = found.points[found.winners[at]], None if found.sure is None else found.sure[at]
        words = (
            f"{found.weights[at][0]:.0%} on {found.objectives[0]}: trial {identified(point.trial or 0, point.until)}"
        )
        words += "" if sure is None else f", in {sure:.0%} of what replicates allow for"
        role = theme.looks(view.sharing_kinds)[_trial(view, found, found.winners[at]).sharing].role
        cells.append(
            f'<g><title>{escaped(words)}</title><rect x="{place * WIDTH}" width="{WIDTH}" height="{HEIGHT}" '
            f'fill="var(--{role})" fill-opacity="{1 if sure is None else 0.15 + 0.85 * sure:.2f}"/>'
            f'<text x="{(place + 0.5) * WIDTH}" y="{HEIGHT - 9}" text-anchor="middle" font-size="9" '
            f'fill="var(--text)" stroke="var(--surface)" stroke-width="3" stroke-linejoin="round" paint-order="stroke">'
            f"{point.trial}</text></g>"
        )
    ends = f"all weight on {found.objectives[1]} (left) to all on {found.objectives[0]} (right)"
    box = f"0 0 {len(order) * WIDTH} {HEIGHT}"
    label = f'role="img" aria-label="{escaped(ends)}"'
    strip = f'<svg class="strip" viewBox="{box}" width="100%" {label}>{"".join(cells)}</svg>'
    return f'{strip}<p class="note">Trials, from {escaped(ends)}.</p>'


def _table(view: PageView, found: Stability) -> str:
    sure = found.sure is not None
    heads = ["trial", "architecture", "share of weights"]
    heads += ["the same with other seeds", "first by the rule with other seeds"] if sure else []
    rows = []
    for at, point in enumerate(found.points):
        shares = [point.share, *((point.probability, point.by_rule) if sure else ())]
        numbers = "".join(
            f'<td class="number">{text.number(None) if each is None else f"{each:.0%}"}</td>' for each in shares
        )
        mark = glyph(theme.looks(view.sharing_kinds)[_trial(view, found, at).sharing])
        name = escaped(str(identified(point.trial or 0, point.until)))
        rows.append(f'<tr><td class="number">{name}</td><td>{mark}{escaped(point.architecture)}</td>{numbers}</tr>')
    head = "".join(f'<th scope="col">{escaped(each)}</th>' for each in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return scrolling(table, "How the pick changes")


def _trial(view: PageView, found: Stability, at: int) -> Trial:
    point = found.points[at]
    return view.trial(identified(point.trial or 0, point.until))
