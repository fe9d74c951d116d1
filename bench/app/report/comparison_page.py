"""The page of a comparison: the answer, the families, the tests, and ranks over data sets; one
file, like a run's.
"""

from __future__ import annotations

from pathlib import Path

from bench.app.report import text
from bench.app.report.markup import escaped, joined, sentence, table
from bench.app.report.page import whole
from bench.app.report.text import MINUS, dataset, number
from bench.core.rows import NAMES
from bench.core.system.atomic import write_text
from bench.ledger.comparison.comparison import (
    FAMILY_HEADS,
    TEST_HEADS,
    Compared,
    Group,
    family_rows,
    texts_of,
)
from bench.ledger.comparison.significance import MeanRanks
from bench.ledger.effect import LEVEL

WIDTH = 720
"""In the units of the drawing, as are the next ones."""
ROW = 28
TOP = 64
LEFT = 20
MARGIN = 240
"""The room to the right for the names of methods."""
LANE = 7
"""Between the bars of two cliques."""
QUESTION = "Does any gradient method lie beyond the front of static weights?"


def critical_figure(ranking: MeanRanks) -> str:
    """Methods from the best mean rank on top, with the critical difference, and a bar for each
    clique.

    Demšar, JMLR 2006, has the names around one axis; a row for each is read more easily, on a
    phone, too.
    """
    rows = [TOP + ROW * place for place in range(len(ranking.names))]
    height = TOP + ROW * len(rows) + 12
    best = _x(ranking, 1)
    parts = [
        f'<path d="M{best:.1f} 30H{_x(ranking, 1 + ranking.critical):.1f}" '
        'stroke="var(--text)" stroke-width="2"/>',
        f'<text x="{best:.1f}" y="20">critical difference {ranking.critical:.2f}</text>',
    ]
    for clique, (first, last) in enumerate(ranking.cliques):
        x = _x(ranking, ranking.ranks[last]) + 9 + LANE * clique
        parts.append(
            f'<path d="M{x:.1f} {rows[first]}V{rows[last]}" stroke="var(--line)" stroke-width="5"/>'
        )
    name_offset = 20 + LANE * len(ranking.cliques)
    for y, name, rank in zip(rows, ranking.names, ranking.ranks, strict=True):
        x = _x(ranking, rank)
        parts += [
            f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="var(--accent)"/>',
            f'<text x="{x + name_offset:.1f}" y="{y + 4}">{escaped(name)} {rank:.2f}</text>',
        ]
    parts.append(
        f'<text x="{best:.1f}" y="{height - 4}" fill="var(--muted)">mean rank, 1 is best</text>'
    )
    return (
        f'<svg class="critical" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Mean ranks over data sets" font-size="13" fill="var(--text)">'
        f"{''.join(parts)}</svg>"
    )


def _x(ranking: MeanRanks, rank: float) -> float:
    worst = max(*ranking.ranks, 1 + ranking.critical)
    return LEFT + (rank - 1) / ((worst - 1) or 1) * (WIDTH - LEFT - MARGIN)


def write_comparison(compared: Compared, file: Path) -> None:
    """Writes it as a page or, by the file's ending, as a table."""
    if file.suffix == ".csv":
        write_text(file, text.csv_text(compared.table.assign(split=compared.split)))
    else:
        write_text(file, comparison_document(compared))


def comparison_document(compared: Compared) -> str:
    """The page as text."""
    body = [_group(group, compared, place) for place, group in enumerate(compared.groups)]
    if compared.ranking is not None:
        body.append(
            f'<section class="run"><h2>Over {compared.ranking.datasets} data sets</h2>'
            '<p class="note">By the hypervolume of the front. '
            f"{escaped(compared.ranking.sentence)} A bar joins what cannot be told apart.</p>"
            f"{critical_figure(compared.ranking)}</section>"
        )
    body += [f'<p class="note">{escaped(note)}</p>' for note in compared.notes]
    runs = dict.fromkeys(run for group in compared.groups for run in group.runs)
    kind = f"Comparison by {compared.by}, {NAMES[compared.split]}"
    return whole(", ".join(runs), kind, body, figures=False)


def _group(group: Group, compared: Compared, place: int) -> str:
    parts = [
        f'<section class="run"><h2>{escaped(dataset(group.dataset))}</h2>',
        f"<p>{escaped(', '.join(group.runs))}</p>",
        f'<article class="answer"><h3>{QUESTION}</h3>'
        f"<p>{sentence(group.answer.sentence)}</p></article>",
    ]
    if group.reason:
        parts.append(f'<p class="note">{escaped(group.reason)}</p>')
    else:
        parts += _families(group, compared)
    if group.comparison.tests:
        parts.append(_tests(group, compared, place))
    if group.unconfirmed:
        points = escaped(", ".join(group.unconfirmed))
        parts.append(f'<p class="note below">Without a confirmed point: {points}.</p>')
    return joined([*parts, "</section>"])


def _families(group: Group, compared: Compared) -> list[str]:
    rows = []
    for name, *counts, hypervolume in family_rows(group.comparison):
        rows.append([name, *(f"{count:,}" for count in counts), number(hypervolume)])
    families = table((compared.by, *FAMILY_HEADS), rows, "Families", 1 + len(FAMILY_HEADS))
    notes = [f'<p class="note below">{sentence(note)}</p>' for note in group.comparison.notes]
    title = f'<h3>Families</h3><p class="note">On {NAMES[compared.split]}.</p>'
    return [title + families, *notes]


def _tests(group: Group, compared: Compared, place: int) -> str:
    comparison = group.comparison
    rows = [texts_of(row, MINUS) for row in comparison.tests]
    return (
        f'<h3>Tests</h3><p class="note">Left minus right on {NAMES[compared.split]}, {LEVEL:.0%} '
        "intervals. In a metric each family stands for the average of its "
        f"{comparison.members} best confirmed trials. p covers noise of seeds and rows, and luck "
        "in tuning; it is Holm's, over all tests of the data set.</p>"
        + table(TEST_HEADS, rows, f"Tests {place}", len(TEST_HEADS))
    )
