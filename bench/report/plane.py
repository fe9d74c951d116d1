"""A plane: the points of one front in tidy columns, those of a served front.

One row a point: `point` (id), `name`, `architecture`, `role` ("trial", "baseline", "current"), `kind` and `weights`
(the fusion; None for heads), `on_front`, `p_nondominated`, and for each split s and axis a `s/a`, its 90% interval
`s/a.low`, `s/a.high`, and the difference from the current point `s/a.gain`, `s/a.gain.low`, `s/a.gain.high`, positive
where the point is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.frontier import Frontier
from bench.objectives import Direction, in_thousandths
from bench.report import text
from bench.rows import CONFIRM, SEARCH, TEST

if TYPE_CHECKING:
    from bench.frontier.served.served import Served


@dataclass(frozen=True)
class Axis:
    """An outcome or an objective. A gain times `scale` is shown: per cent of the current value, or thousandths."""

    name: str
    direction: Direction
    relative: bool

    @property
    def label(self) -> str:
        """For people: `income AUC`."""
        return text.label(self.name)

    @property
    def sign(self) -> float:
        """`sign * value` is better when larger."""
        return 1.0 if self.direction == "maximize" else -1.0

    @property
    def scale(self) -> float:
        """What a gain is multiplied by."""
        return 100.0 if self.relative else 1000.0


@dataclass(frozen=True)
class Plane:
    """Points to draw and to list, see the module.

    Attributes:
        splits: those that some row has values of, the one that is told first.
        against: what gains are differences from, in words.
        current: place of the current point's row; None where the difference is from no row of the table.
        covariance: by split (S, M, M) of the gains over paired draws, in the unit that is shown; empty without draws.
        segments: gains by segment of the rows, see `Served.segments`; empty without segments.
    """

    kind: Literal["served", "heads"]
    axes: tuple[Axis, ...]
    table: pd.DataFrame
    splits: tuple[str, ...]
    against: str = "current"
    current: int | None = None
    covariance: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    segments: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def front(self) -> pd.DataFrame:
        """Rows on the front."""
        return self.table[self.table["on_front"].astype(bool)]


def served_plane(served: Served, pick: int | None = None, changes: Mapping[str, Any] | None = None) -> Plane:
    """The served front's table, with the covariance of its gains.

    Args:
        pick: place of the pick's row, whose gains on test have the intervals of the verdict: these allow for its having
            been picked.
        changes: those of the verdict, by outcome `low` and `high`.
    """
    table = served.table
    if pick is not None and changes:
        ends = {f"{TEST}/{name}.gain.{end}": each[end] for name, each in changes.items() for end in ("low", "high")}
        table = table.copy()
        table.loc[table.index[pick], list(ends)] = list(ends.values())
    axes = tuple(Axis(each.name, each.direction, True) for each in served.outcomes)
    splits = {TEST: served.test_draws, CONFIRM: served.draws}
    known = {split: spread(draws, served.current) for split, draws in splits.items() if len(draws) > 1}
    return Plane(
        "served", axes, table, tuple(splits), current=served.current, covariance=known, segments=served.segments
    )


def spread(draws: NDArray[Any], current: int) -> NDArray[np.float64]:
    """Covariance (S, M, M) over draws (D, S, M) of the differences from the current row, in per cent of its value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = 100 * (draws.astype(np.float64) / draws[:, current : current + 1] - 1)
    apart = np.nan_to_num(gains - gains.mean(axis=0))
    return np.asarray(np.einsum("dsm,dsn->smn", apart, apart) / (len(draws) - 1))


def heads_plane(front: Frontier) -> Plane:
    """The front of heads in the columns of a served front.

    Differences are from the current point, else from the composite of single-task models, else in each objective from
    its best single-task trial. They are in the metric's own unit where that is read in thousandths, else a fraction.
    """
    axes = tuple(Axis(each.name, each.direction, not in_thousandths(each.name)) for each in front.objectives)
    found, rows = front.table, front.points
    table = pd.DataFrame(
        {
            "point": found["point"],
            "name": found["name"],
            "role": found["role"],
            "kind": None,
            "weights": None,
            "params": [each.params for each in rows],
            "cost/parameters": [each.metrics.get("cost/parameters") for each in rows],
            "cost/latency_ms": [each.metrics.get("cost/latency_ms") for each in rows],
        },
        index=found.index,
    )
    same = ("architecture", "sharing", "balancing", "on_front", "p_nondominated", "replicates", "samples")
    table = table.join(found[[name for name in same if name in found]])
    reference = next(iter(table.index[table["point"] == front.against]), None)
    splits = []
    for split in (TEST, CONFIRM, SEARCH):
        columns: dict[str, Any] = {}
        for axis, objective in zip(axes, front.objectives, strict=True):
            key = objective.key(split)
            value = found[key if split == SEARCH else f"{key}.mean"].astype(float)
            columns[name := f"{split}/{axis.name}"] = value
            for end in ("low", "high"):
                columns[f"{name}.{end}"] = np.nan if split == SEARCH else found[f"{key}.{end}"].astype(float)
            base = value.loc[reference] if reference is not None else _best_single(value * axis.sign, table) * axis.sign
            unit = abs(base) if axis.relative else 1.0
            columns[f"{name}.gain"] = axis.sign * (value - base) / unit
            for end in ("gain.low", "gain.high"):
                columns[f"{name}.{end}"] = np.nan if split == SEARCH else found[f"{key}.{end}"].astype(float) / unit
        part = pd.DataFrame(columns, index=found.index)
        table = table.join(part)
        if part[[f"{split}/{axis.name}" for axis in axes]].notna().all(axis=1).any():
            splits.append(split)
    at = None if reference is None else list(table.index).index(reference)
    against = "current" if at is not None and table["role"].iloc[at] == "current" else "single-task models"
    return Plane("heads", axes, table.reset_index(drop=True), tuple(splits) or (SEARCH,), against, at)


def _best_single(value: pd.Series[float], table: pd.DataFrame) -> float:
    """Of the single-task trials, where larger is better; NaN without one."""
    return float(value[table["sharing"] == "single_task"].max())
