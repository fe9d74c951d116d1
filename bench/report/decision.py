"""What the sliders choose among, and the draws by which they say how often a pick holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.choices import Choices
from bench.objectives import in_thousandths
from bench.report.plane import Axis

MOST_DRAWS, MOST_DRAWN = 200, 60_000
"""Posterior draws that a page carries, and numbers in them: of more rows it takes the best, all roles among them."""
LIMITS = ("cost/parameters", "cost/latency_ms")
"""Costs that sliders limit."""


@dataclass(frozen=True)
class Picked:
    """The run's pick: its place in the choices' table, why, how often it holds, and the places that come after it;
    without these the page ranks by equal values."""

    row: int
    sentence: str
    holds: float | None = None
    runners_up: tuple[int, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What the sliders choose among: rows of `Choices`, thinned.

    Attributes:
        table: as in `Choices`, the rows kept.
        axes: of the sliders, (M,).
        values: (R, M) on confirmation rows.
        deployable: (R,), which can be packaged.
        draws: (D, R, M) float32, D = 0 where nothing is known.
        costs: columns of the table that can be limited, smaller is better.
        current, pick: places in the table; `runners_up` come after the pick by the run's policy.
    """

    table: pd.DataFrame
    axes: tuple[Axis, ...]
    values: NDArray[np.float64]
    deployable: NDArray[np.bool_]
    draws: NDArray[np.float32]
    costs: tuple[str, ...]
    current: int
    pick: int | None
    runners_up: tuple[int, ...]


def decision_of(choices: Choices | None, pick: Picked | None) -> Decision | None:
    """What the sliders need; None without choices, or without a current point to differ from."""
    if choices is None or choices.current is None or not len(choices.table):
        return None
    table, names = choices.table.reset_index(drop=True), choices.objectives
    axes = tuple(Axis(each, choices.directions[each], choices.served or not in_thousandths(each)) for each in names)
    known = len(choices.draws) if set(names) <= set(choices.drawn) else 0
    shown = np.unique(np.linspace(0, known - 1, min(known, MOST_DRAWS)).astype(int)) if known else np.arange(0)
    needed = [choices.current, *([pick.row, *pick.runners_up] if pick else [])]
    likely = (
        table["p_nondominated"].astype(float).fillna(0) + 2.0 * table["on_front"] + 4.0 * (table["role"] != "trial")
    )
    likely.iloc[needed] = np.inf
    most = max(MOST_DRAWN // (max(len(shown), 1) * len(names)), len(needed))
    kept = np.sort(likely.sort_values(ascending=False, kind="stable").index.to_numpy()[:most])
    place = {int(row): at for at, row in enumerate(kept)}
    draws = np.empty((0, len(kept), len(names)), dtype=np.float32)
    if known:
        draws = choices.draws[shown][:, kept][:, :, [choices.drawn.index(name) for name in names]].astype(np.float32)
    return Decision(
        table=table.iloc[kept].reset_index(drop=True),
        axes=axes,
        values=table.iloc[kept][list(names)].to_numpy(dtype=float),
        deployable=choices.deployable[kept],
        draws=draws,
        costs=tuple(name for name in LIMITS if name in table and table[name].nunique() > 1 and name not in names),
        current=place[choices.current],
        pick=place[pick.row] if pick else None,
        runners_up=tuple(place[row] for row in pick.runners_up) if pick else (),
    )
