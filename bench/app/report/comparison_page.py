"""The page of a comparison: the answer, the families, the tests, and ranks over data sets; one
file, like a run's.
"""

from __future__ import annotations

from pathlib import Path

from bench.app.report import text
from bench.app.report.markup import escaped, joined, sentence
from bench.app.report.page import table, whole
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

WIDTH, ROW, TOP, LEFT, MARGIN = 720, 28, 64, 20, 240
"""In the units of the drawing; `MARGIN` is the room to the right for the names of methods."""


def critical_figure(ranking: MeanRanks) -> str:
    """Methods from the best mean rank on top, with the critical difference, and a bar for each
    clique.

    Demšar, JMLR 2006, has the names around one axis; a row for each is read more easily, on a
    phone, too.
    """
    most = max(*ranking.ranks, 1 + ranking.critical)

    def x(rank: float) -> float:
        return LEFT + (rank - 1) / ((most - 1) or 1) * (WIDTH - LEFT - MARGIN)

    rows = [TOP + ROW * at for at in range(len(ranking.names))]
    parts = [
        f'<path d="M{x(1):.1f} 30H{x(1 + ranking.critical):.1f}" stroke="var(--text)" '
        f'stroke-width="2"/><text x="{x(1):.1f}" y="20">critical difference '
        f"{ranking.critical:.2f}</text>"
    ]
    for at, (first, last) in enumerate(ranking.cliques):
        lane = x(ranking.ranks[last]) + 9 + 7 * at
        parts.append(
            f'<path d="M{lane:.1f} {rows[first]}V{rows[last]}" stroke="var(--line)" '
            'stroke-width="5"/>'
        )
    beside = 20 + 7 * len(ranking.cliques)
    for y, name, rank in zip(rows, ranking.names, ranking.ranks, strict=True):
        parts.append(
            f'<circle cx="{x(rank):.1f}" cy="{y}" r="5" fill="var(--accent)"/>'
            f'<text x="{x(rank) + beside:.1f}" y="{y + 4}">{escaped(name)} {rank:.2f}</text>'
        )
    height = TOP + ROW * len(rows) + 12
    parts.append(
        f'<text x="{x(1):.1f}" y="{height - 4}" fill="var(--muted)">mean rank, 1 is best</text>'
    )
    return (
        f'<svg class="critical" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Mean ranks '
        f'over data sets" font-size="13" fill="var(--text)">{"".join(parts)}</svg>'
    )


QUESTION = "Does any gradient method lie beyond the front of static weights?"


def write_comparison(compared: Compared, file: Path) -> None:
    """Writes it as a page or, by the file's ending, as a table."""
    table = compared.table.assign(split=compared.split)
    write_text(
        file, text.csv_text(table) if file.suffix == ".csv" else comparison_document(compared)
    )


def comparison_document(compared: Compared) -> str:
    """The page as text."""
    runs = list(dict.fromkeys(run for group in compared.groups for run in group.runs))
    body = [_group(group, compared, place) for place, group in enumerate(compared.groups)]
    if compared.ranking is not None:
        body.append(
            f'<section class="run"><h2>Over {compared.ranking.datasets} data sets</h2>'
            f'<p class="note">By the hypervolume of the front. '
            f"{escaped(compared.ranking.sentence)} A bar joins what cannot be told apart.</p>"
            f"{critical_figure(compared.ranking)}</section>"
        )
    body += [f'<p class="note">{escaped(note)}</p>' for note in compared.notes]
    return whole(
        ", ".join(runs),
        f"Comparison by {compared.by}, {NAMES[compared.split]}",
        body,
        figures=False,
    )


def _group(group: Group, whole: Compared, place: int) -> str:
    compared, on = group.comparison, NAMES[whole.split]
    parts = [
        f'<section class="run"><h2>{escaped(dataset(group.dataset))}</h2>',
        f"<p>{escaped(', '.join(group.runs))}</p>",
        (
            "<article "
            f'class="answer"><h3>{QUESTION}</h3><p>{sentence(group.answer.sentence)}</p></article>'
        ),
    ]
    if group.reason:
        parts.append(f'<p class="note">{escaped(group.reason)}</p>')
    else:
        rows = [
            [name, *(f"{each:,}" for each in own), number(last)]
            for name, *own, last in family_rows(compared)
        ]
        families = table((whole.by, *FAMILY_HEADS), rows, "Families", 1 + len(FAMILY_HEADS))
        parts.append(f'<h3>Families</h3><p class="note">On {on}.</p>{families}')
        parts += [f'<p class="note below">{sentence(note)}</p>' for note in compared.notes]
    if compared.tests:
        tests = [texts_of(row, MINUS) for row in compared.tests]
        parts.append(
            f'<h3>Tests</h3><p class="note">Left minus right on {on}, {LEVEL:.0%} intervals. In a '
            f"metric each family stands for the average of its {compared.members} best confirmed "
            "trials. p covers noise of seeds and rows, and luck in tuning; "
            "it is Holm's, over all tests of the data set.</p>"
            + table(TEST_HEADS, tests, f"Tests {place}", len(TEST_HEADS))
        )
    if group.unconfirmed:
        parts.append(
            '<p class="note below">Without a confirmed point: '
            f"{escaped(', '.join(group.unconfirmed))}.</p>"
        )
    return joined([*parts, "</section>"])
