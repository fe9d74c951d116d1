"""What a back-test shows on a page: a point's gain on each day, the average day, and the
sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.app.report import text
from bench.app.report.markup import escaped, sentence

LINE, ROOM = 19, 45
"""Height of a line, and the part of the width in which its words are, in per cent."""


def section_of_days(document: Mapping[str, Any]) -> str:
    """The section of a back-test, see `bench.serve.backtest.daily_gains.document`."""
    parts = []
    for point, told in document["sentences"].items():
        items = "".join(f"<li>{sentence(each)}</li>" for each in told)
        parts.append(f'<ul class="why">{items}</ul>{picture_of_days(document, point)}')
    unit = document["unit"]
    return (
        f"<h3>{'Day by day' if unit == 'day' else f'By {escaped(unit)}'}</h3>{''.join(parts)}"
        if parts
        else ""
    )


def picture_of_days(document: Mapping[str, Any], point: str) -> str:
    """A bar for each cut's gain of U, in their order; a band is the interval of the average one."""
    own, cuts = document["points"][point], document["cuts"]
    gains, average = (
        100 * np.array(each, np.float64) for each in (own["by_cut"], [*own["average"].values()])
    )
    least, most = (float(end([*gains, *average, 0.0])) for end in (np.nanmin, np.nanmax))
    height = LINE * len(cuts)

    def bar(first: float, last: float, y: float, height: float, look: str) -> str:
        if not first < last:  # unknown, too
            return ""
        x, end = (ROOM + (100 - ROOM) * (each - least) / (most - least) for each in (first, last))
        return (
            f'<rect x="{x:.2f}%" width="{end - x:.2f}%" y="{y}" height="{height}" '
            f'fill="var(--{look}"/>'
        )

    marks = [bar(average[1], average[2], 0, height, 'accent)" opacity=".18')]
    for at, (gain, cut) in enumerate(zip(gains.tolist(), cuts, strict=True)):
        told = f"{cut['name']}: {f'{text.signed(gain, 100)}%' if gain == gain else 'unknown'}"
        words = f'<text y="{LINE * at + 13}" font-size="12" fill="var(--muted)">{escaped(told)}'
        marks.append(f"{words}<title>{cut['rows']:,} rows</title></text>")
        marks.append(
            bar(
                min(0.0, gain),
                max(0.0, gain),
                LINE * at + 3,
                LINE - 6,
                f"{'good' if gain > 0 else 'loss'})",
            )
        )
    said = (
        f"Gains on {len(cuts)} cuts, in their order; the band is the interval of the average one."
    )
    size = f'style="display:block;width:100%;max-width:600px;height:{height}px"'
    return f'<svg role="img" aria-label="{escaped(said)}" {size}>{"".join(marks)}</svg>'
