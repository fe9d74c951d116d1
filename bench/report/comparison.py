"""The page of a comparison: the answer, the families, the tests, and ranks over data sets; one file, like a run's."""

from __future__ import annotations

import math
from typing import Any

from bench.frontier.comparison.compared import Compared, Group
from bench.report.charts import chart
from bench.report.markup import escaped, joined, scrolling
from bench.report.page import whole
from bench.report.plots.critical import critical_figure
from bench.report.text import MINUS, number
from bench.rows import NAMES

HEADS = ("measure", "left", "right", "left minus right", "interval", "unit", "p (Holm)", "seeds", "verdict")


def comparison_document(found: Compared) -> str:
    """The page as text."""
    runs = list(dict.fromkeys(run for group in found.groups for run in group.runs))
    body = [_group(group, found, place) for place, group in enumerate(found.groups)]
    body += [_ranks(found)] + [f'<p class="note">{escaped(note)}</p>' for note in found.notes]
    return whole(
        ", ".join(runs), f"Comparison by {found.by}, {NAMES[found.split]}", body, figures=found.ranking is not None
    )


def _group(group: Group, found: Compared, place: int) -> str:
    parts = [
        f'<section class="run"><h2>{escaped(group.dataset)}</h2><p>{escaped(", ".join(group.runs))}</p>',
        '<article class="pick"><h3>Does any gradient method leave the front of static weights?</h3>'
        f"<p>{escaped(group.answer.sentence)}</p></article>",
    ]
    if group.comparison is None:
        parts.append(f'<p class="note">{escaped(group.reason)}</p>')
    else:
        sizes = group.comparison.volumes.seen
        rows = [[name, str(len(each)), number(sizes[name])] for name, each in group.comparison.families.items()]
        parts.append(
            f'<h3>Families</h3><p class="note">On {NAMES[found.split]}.</p>'
            + _table((found.by, "confirmed points", "hypervolume"), rows, "Families")
        )
        parts.append(
            f'<h3>Tests</h3><p class="note">Left minus right on {NAMES[found.split]}, {found.level:.0%} intervals. '
            "In a metric a family stands "
            "for the point that the search's own run found best; p is Holm's, over all metrics and pairs. Beyond: by "
            "how much the other front would have to rise in every objective to cover this one.</p>"
        )
        tests = found.table[found.table["dataset"] == group.dataset].to_dict("records")
        parts.append(_table(HEADS, [_test(row) for row in tests], f"Tests {place}"))
    if group.unconfirmed:
        parts.append(f'<p class="note below">Without a confirmed point: {escaped(", ".join(group.unconfirmed))}.</p>')
    return joined([*parts, "</section>"])


def _test(row: dict[Any, Any]) -> list[str]:
    def told(value: float | None) -> str:
        return "" if value is None or math.isnan(value) else f"{value:.4g}".replace("-", MINUS)

    interval = " to ".join(filter(None, (told(row["low"]), told(row["high"]))))
    value, p = told(row["value"]), told(row["p_holm"])
    seeds = row["seeds"] if isinstance(row["seeds"], str) else ""
    return [row["measure"], row["left"], row["right"], value, interval, row["unit"], p, seeds, row["verdict"]]


def _table(heads: tuple[str, ...], rows: list[list[str]], name: str) -> str:
    head = "".join(f'<th scope="col">{escaped(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", name)


def _ranks(found: Compared) -> str:
    if found.ranking is None:
        return ""
    height = f"{110 + 30 * len(found.ranking.names)}px"
    figure = chart(critical_figure(found.ranking), "ranks", "Mean ranks over data sets", height, least=520)
    return joined(
        [
            f'<section class="run"><h2>Over {found.ranking.datasets} data sets</h2>',
            f'<p class="note">By the hypervolume of the front. {escaped(found.ranking.sentence)} A bar joins '
            "what cannot be told apart.</p>",
            figure,
            "</section>",
        ]
    )
