"""Critical-difference diagram: mean ranks over data sets, and which of them cannot be told apart."""

from __future__ import annotations

from bench.frontier.comparison.ranks import Ranking
from bench.report.markup import escaped

WIDTH, ROW, TOP, LEFT, NAMES = 720, 28, 64, 20, 240
"""In the units of the drawing; `NAMES` is the room to the right for the names of methods."""


def critical_figure(ranking: Ranking) -> str:
    """Methods from the best mean rank on top, with the critical difference, and a bar for each clique.

    Demšar, JMLR 2006, has the names around one axis; a row for each is read more easily, on a phone, too.
    """
    most = max(*ranking.ranks, 1 + ranking.critical)

    def x(rank: float) -> float:
        return LEFT + (rank - 1) / ((most - 1) or 1) * (WIDTH - LEFT - NAMES)

    rows = [TOP + ROW * at for at in range(len(ranking.names))]
    parts = [
        f'<path d="M{x(1):.1f} 30H{x(1 + ranking.critical):.1f}" stroke="var(--text)" stroke-width="2"/>'
        f'<text x="{x(1):.1f}" y="20">critical difference {ranking.critical:.2f}</text>'
    ]
    for at, (first, last) in enumerate(ranking.cliques):
        lane = x(ranking.ranks[last]) + 9 + 7 * at
        parts.append(f'<path d="M{lane:.1f} {rows[first]}V{rows[last]}" stroke="var(--line)" stroke-width="5"/>')
    beside = 20 + 7 * len(ranking.cliques)
    for y, name, rank in zip(rows, ranking.names, ranking.ranks, strict=True):
        parts.append(
            f'<circle cx="{x(rank):.1f}" cy="{y}" r="5" fill="var(--accent)"/>'
            f'<text x="{x(rank) + beside:.1f}" y="{y + 4}">{escaped(name)} {rank:.2f}</text>'
        )
    height = TOP + ROW * len(rows) + 12
    parts.append(f'<text x="{x(1):.1f}" y="{height - 4}" fill="var(--muted)">mean rank, 1 is best</text>')
    return (
        f'<svg class="critical" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Mean ranks over data sets" '
        f'font-size="13" fill="var(--text)">{"".join(parts)}</svg>'
    )
