"""The choices of a policy as one tidy table: trials, baselines and the current point.

With kept predictions a choice is a serving point (a model and the weights that fuse its tasks into one score). Without
them it is a point of the front of heads. Every column is named as users name it: `like.recall@10%`, `click.auc`,
`cost/parameters`.

Values are means over replicates, and over validation and confirmation rows. Fronts and intervals read confirmation rows
alone, because the search chose by validation. A pick only compares points that were all chosen there, and twice the
rows halve the variance of their differences: in replays that is most of a pick's regret (docs/search.md). What was not
measured on validation, such as an outcome of a segment, is that of confirmation rows. Where nothing was confirmed,
values are the search's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import UserError, unknown
from bench.objectives import (
    BY_NAME,
    COSTS,
    Direction,
    Objective,
    in_thousandths,
    ranked,
)
from bench.records import Point
from bench.results.ledger import FACTS, Ledger
from bench.results.pareto import nondominated
from bench.results.points import candidates, estimate, estimates
from bench.results.posterior import p_nondominated, posterior_draws
from bench.results.samples import sample, seed_noise
from bench.rows import CONFIRM, SEARCH, TEST
from bench.seeds import derive

Floats = NDArray[np.float64]

ROW = (*FACTS, "size")
"""Columns of `Choices.table` that are no metrics."""
DRAWS = 1000
"""Posterior draws of heads, where there is no served front."""
THOUSANDTHS = 0.1
"""Unit of a head's metric in thousandths, such as AUC: a difference of .001 counts as much as 1% of an outcome."""
STAND_IN = "single_task"
"""The baseline that stands for the current point where none was given."""
UNDEPLOYABLE = ("trees", "ensemble", STAND_IN)


@dataclass(frozen=True)
class Choices:
    """The rows that a policy chooses among.

    Attributes:
        table: one row a choice: `point` (7, 7@16000, trees), `name` for people, `architecture`, `role` (trial,
            baseline, current), `kind` (of the fusion: power, sum; None for heads), `weights` (by task, or None),
            `p_nondominated`, `on_front`, `size` (parameters; infinite where unknown), then a column a metric or cost,
            and a column an outcome of a segment: `like.recall@10%[country=US]`.
        directions: of the metrics that have one.
        objectives: what rules such as `knee` use: the served outcomes, else the objectives of the heads.
        drawn: metrics with posterior draws.
        draws: (D, rows, drawn), paired over rows; D is 0 where no noise is known.
        current: row of the current point; None where nothing was confirmed.
        ledger: of the served front, whose rows these are, without test; None for heads.
    """

    table: pd.DataFrame
    directions: dict[str, Direction]
    objectives: tuple[str, ...]
    drawn: tuple[str, ...]
    draws: NDArray[Any]
    current: int | None
    ledger: Ledger | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def served(self) -> bool:
        """Whether the choices are serving points; their objectives are then outcomes of the score that ranks."""
        return bool(self.table["kind"].notna().any())

    @property
    def deployable(self) -> NDArray[np.bool_]:
        """(rows,), which can be packaged: those that are one network."""
        return np.asarray(~self.table["point"].isin(UNDEPLOYABLE))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric and cost, measured on all rows."""
        return tuple(str(name) for name in self.table.columns if name not in ROW and "[" not in name)

    def values(self, names: Sequence[str]) -> Floats:
        """(rows, M) in natural units; NaN where something was not measured."""
        columns = [self.table[name].to_numpy(dtype=float) for name in names]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self), 0))

    def posterior(self, names: Sequence[str]) -> Floats:
        """(D, rows, M): the values in each posterior draw; a metric that is not drawn keeps its value."""
        found = np.repeat(self.values(names)[None], len(self.draws), axis=0)
        for place, name in enumerate(names):
            if name in self.drawn:
                found[:, :, place] = self.draws[:, :, self.drawn.index(name)]
        return found

    def sign(self, name: str) -> float:
        """+1 where larger is better."""
        return 1.0 if self.directions[name] == "maximize" else -1.0

    def in_thousandths(self, name: str) -> bool:
        """Whether differences in a metric are read in thousandths, as those of a head's AUC, and not in per cent."""
        return in_thousandths(name) and not (self.served and name in self.objectives)

    def gains(self, names: Sequence[str], values: Floats) -> Floats:
        """Differences from the current row, above 0 where better, in units that compare: (..., rows, M).

        An outcome, a cost or any other metric is a fraction of current's value: .01 is 1%. A head's metric in
        thousandths is divided by .1: .01 is .001 of AUC. Without a current row, or where it was not measured there,
        the best value of any row stands for it.

        Args:
            values: (..., rows, M) of these metrics, as of `values` or `posterior`.
        """
        signs = np.array([self.sign(name) for name in names])
        best = np.fmax.reduce(self.values(names) * signs, axis=0) * signs
        base = np.broadcast_to(best, (*values.shape[:-2], len(names)))
        if self.current is not None:
            base = np.where(np.isnan(values[..., self.current, :]), base, values[..., self.current, :])
        unit = np.where([self.in_thousandths(name) for name in names], THOUSANDTHS, np.abs(base))
        unit = np.where(unit > 0, unit, 1.0)
        return np.asarray(signs * (values - base[..., None, :]) / unit[..., None, :])

    def sure_shares(self, name: str, confidence: float, floor: bool) -> Floats:
        """The share of current's value that each row keeps with this confidence over draws: (rows,).

        Without draws of the metric, of its values.

        Args:
            floor: whether from below; else the share that it does not exceed.
        """
        drawn = self.posterior([name])[:, :, 0] if name in self.drawn and len(self.draws) else None
        values = self.values([name])[None, :, 0] if drawn is None else drawn
        assert self.current is not None
        now = values[:, self.current, None]
        gained = np.divide(values - now, np.abs(now), out=np.zeros_like(values), where=now != 0)
        found = np.sort(1 + gained, axis=0)
        beyond = math.floor((len(found) - 1) * (1 - confidence))  # as many draws may have less, or more
        return np.asarray(found[beyond if floor else -1 - beyond])

    def check(self, name: str, where: str, directed: bool = False) -> None:
        """Raises a UserError where there is no such metric, or, if `directed`, it has no best direction."""
        if "[" in name and name not in self.table:
            known = [str(each) for each in self.table.columns if "[" in each]
            raise UserError(f"{where}: {unknown('outcome of a segment', name, known)}")
        if "[" not in name and name not in self.metrics:
            outcome = ranked(name.rpartition(".")[2])
            if outcome is not None and "." in name:
                has = ", ".join(self.objectives) if self.served else "none: no predictions were kept"
                raise UserError(
                    f"{where}: '{name}' is not among this run's outcomes, which are {has}; add it to the suite's "
                    "`outcomes` and run again"
                )
            raise UserError(f"{where}: {unknown('metric', name, self.metrics)}")
        if directed and name not in self.directions:
            raise UserError(f"{where}: '{name}' has no best direction; bound it by guard.within")


def served_choices(served: Ledger, points: Iterable[Point]) -> Choices:
    """The rows of a served front, with the metrics of heads and costs of their points."""
    ledger, names = served.without(TEST), served.names
    known = {point.id: point for point in points}
    own = [known.get(str(point)) for point in ledger.table["point"]]
    heads = [name for name in _metrics([point for point in own if point]) if name not in names]
    confirm = ledger.at(CONFIRM)
    values = _together(confirm, ledger.at(SEARCH))
    columns = dict(zip(names, values.T, strict=True))
    by_slice = {
        f"{name}[{slice}]": column
        for name in sorted(names)
        for slice in sorted(ledger.slices(CONFIRM))
        if np.isfinite(column := ledger.at(CONFIRM, slice=slice)[:, names.index(name)]).any()  # else: few positive rows
    }
    table = ledger.table[list(ROW[:-1])].assign(**columns, **by_slice)
    outcomes: dict[str, Direction] = {each.name: each.direction for each in ledger.measures}
    return Choices(
        table=_with_points(table, own, heads),
        directions=_directions(heads) | outcomes | {name: outcomes[name.partition("[")[0]] for name in by_slice},
        objectives=names,
        drawn=names,
        draws=ledger.draws[CONFIRM] * np.divide(values, confirm, out=np.ones_like(values), where=confirm > 0),
        current=ledger.current,
        ledger=ledger,
    )


def head_choices(points: Sequence[Point], objectives: Sequence[Objective], seed: int = 0) -> Choices:
    """The points that may be compared by their heads: confirmed ones and baselines, else what the search saw."""
    found = [point for point in candidates(points) if np.isfinite(estimates([point], objectives)).all()]
    names, keys = [each.name for each in objectives], [each.key(CONFIRM) for each in objectives]
    samples = [one for point in found if (one := sample(point, keys))]
    noise = seed_noise(samples) if samples and len(samples) == len(found) else None
    chances, draws = None, np.zeros((0, len(found), len(names)))
    if noise is not None:
        chances = p_nondominated(samples, objectives, derive(seed, "p_nondominated"))
        draws = posterior_draws(samples, noise, derive(seed, "choices"), DRAWS)
        for row in (row for row, point in enumerate(found) if point.kind == STAND_IN):  # the same models once more
            for place, metric in enumerate(samples[row].mean):
                same = (each for each, one in enumerate(samples) if each != row and one.mean[place] == metric)
                if (source := next(same, None)) is not None:
                    draws[:, row, place] = draws[:, source, place]
    table = pd.DataFrame(
        {
            "point": [point.id for point in found],
            "name": [point.name for point in found],
            "architecture": [point.architecture for point in found],
            "role": [point.role for point in found],
            "kind": None,
            "weights": None,
            "p_nondominated": np.full(len(found), np.nan) if chances is None else chances,
            "on_front": nondominated(estimates(found, objectives), objectives) if found else [],
        }
    )
    heads = _metrics(found)
    cells = _with_points(table, found, heads)
    if len(draws):
        draws = draws + (cells[names].to_numpy(float) - estimates(found, objectives))
    current = [row for row in range(len(found)) if table["role"][row] == "current" or table["point"][row] == STAND_IN]
    return Choices(
        table=cells,
        directions=_directions(heads),
        objectives=tuple(names),
        drawn=tuple(names),
        draws=draws,
        current=min(current, key=lambda row: table["role"][row] != "current", default=None),
    )


def _with_points(table: pd.DataFrame, points: Sequence[Point | None], names: Sequence[str]) -> pd.DataFrame:
    """The table with each row's size, and metrics of heads and costs; NaN of a point that is not known."""
    cells = {name: _values(points, name) for name in names}
    sizes = pd.Series(cells.get("cost/parameters", [np.nan] * len(points)), dtype=float)
    return pd.concat([table, pd.DataFrame({"size": sizes.fillna(np.inf), **cells}, index=table.index)], axis=1)


def _values(points: Sequence[Point | None], name: str) -> Floats:
    """A metric or a cost of all points: (N,)."""
    found = [[estimate(each, name, split) if each else np.nan for split in (CONFIRM, SEARCH)] for each in points]
    values = np.array(found, dtype=float).reshape(-1, 2)
    return _together(values[:, :1], values[:, 1:])[:, 0]


def _together(confirm: Floats, searched: Floats) -> Floats:
    """Values (rows, M) by confirmation rows and validation alike; by the first alone if one of a metric is missing."""
    return np.where(np.isfinite(searched).all(axis=0), (confirm + searched) / 2, confirm)


def _metrics(points: Iterable[Point]) -> list[str]:
    runs = [run for point in points for run in (point.metrics, *(each.metrics for each in point.replicates))]
    prefixes = (f"{SEARCH}/", f"{CONFIRM}/", "cost/")
    keys = [key.removeprefix(prefixes[0]).removeprefix(prefixes[1]) for run in runs for key in run
            if key.startswith(prefixes)]  # fmt: skip
    return list(dict.fromkeys(keys))


def _directions(names: Iterable[str]) -> dict[str, Direction]:
    found: dict[str, Direction] = {}
    for name in names:
        last = name.rpartition(".")[2]
        cost = name.startswith("cost/")
        way = COSTS.get(name.removeprefix("cost/")) if cost else BY_NAME[last].direction if last in BY_NAME else None
        way = "maximize" if ranked(last) is not None else way
        if way is not None:
            found[name] = way
    return found
