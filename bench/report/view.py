"""The content of a page about a run on one data set: `page` and the scripts draw it.

One row a point: `point` (id), `name`, `architecture`, `role` ("trial", "baseline", "current"), `kind` and `weights`
(the fusion; None for heads), `on_front`, `p_nondominated`. For each split s and axis a there are `s/a`, its 90%
interval `s/a.low`, `s/a.high`, and the difference from the current point `s/a.gain`, `s/a.gain.low`, `s/a.gain.high`,
positive where the point is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.choices import Choices
from bench.frontier.diagnosis import overtraining
from bench.frontier.frontier import Frontier
from bench.frontier.pareto import nondominated
from bench.frontier.pick import Pick
from bench.frontier.policy import Guard
from bench.frontier.within import AreaTable
from bench.objectives import Direction, in_thousandths
from bench.records import TrialRecord
from bench.report import text
from bench.report.effort import seed_effects
from bench.rows import CONFIRM, SEARCH, TEST
from bench.schema import SCENARIO

if TYPE_CHECKING:
    from bench.frontier.served.served import Served


@dataclass(frozen=True)
class Axis:
    """An outcome or an objective. Gains are printed times `scale`: per cent of the current value, or thousandths."""

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
        """The factor by which a gain is multiplied."""
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
        fronts: by scenario, as in `scenario=2`, which rows are on its own front.
    """

    kind: Literal["served", "heads"]
    axes: tuple[Axis, ...]
    table: pd.DataFrame
    splits: tuple[str, ...]
    against: str = "current"
    current: int | None = None
    covariance: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    segments: pd.DataFrame = field(default_factory=pd.DataFrame)
    fronts: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def front(self) -> pd.DataFrame:
        """Rows on the front."""
        return self.table[self.table["on_front"].astype(bool)]


def planes_of(
    front: Frontier, served: Served | None, pick: Pick | None, verdict: Mapping[str, Any]
) -> tuple[Plane, ...]:
    """The planes of a view; served outcomes need a served front."""
    heads = heads_plane(front)
    return (heads,) if served is None else (served_plane(served, pick.row if pick else None, verdict), heads)


def served_plane(served: Served, pick: int | None, verdict: Mapping[str, Any]) -> Plane:
    """The served front's table, with the covariance of its gains.

    Args:
        pick: place of the pick's row, whose gains on test have the intervals of the verdict: these allow for its having
            been picked.
        verdict: with `changes`, by outcome `low` and `high`, and `segments`, the same by segment.
    """
    table, segments = served.table, served.segments
    if pick is not None and (changes := verdict.get("changes")):
        ends = {f"{TEST}/{name}.gain.{end}": each[end] for name, each in changes.items() for end in ("low", "high")}
        table = table.copy()
        table.loc[table.index[pick], list(ends)] = list(ends.values())
        segments = segments.copy()
        for segment, by_outcome in verdict.get("segments", {}).items():
            own = (segments["row"] == pick) & (segments["split"] == TEST) & (segments["segment"] == segment)
            for outcome, each in by_outcome.items():
                if each is not None:
                    cell = own & (segments["outcome"] == outcome)
                    segments.loc[cell, ["gain.low", "gain.high"]] = each["low"], each["high"]
    axes = tuple(Axis(each.name, each.direction, True) for each in served.outcomes)
    splits = {TEST: served.test_draws, CONFIRM: served.draws}
    known = {split: spread(draws, served.current) for split, draws in splits.items() if len(draws) > 1}
    fronts = scenario_fronts(served)
    return Plane(
        "served", axes, table, tuple(splits), current=served.current, covariance=known, segments=segments, fronts=fronts
    )


def scenario_fronts(served: Served) -> dict[str, NDArray[np.bool_]]:
    """By scenario which kept points are on its own front, chosen on confirmation rows like that of all rows.

    The points were kept for the front of all rows. A scenario with too few positives of some outcome has no front.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    cells = served.segments
    for name in () if cells.empty else dict.fromkeys(cells["segment"]):
        if str(name).partition("=")[0] == SCENARIO:
            own = cells[cells["segment"] == name]
            values = own[own["split"] == CONFIRM].pivot(index="row", columns="outcome", values="value")
            if len(values) and not own["value"].isna().any():
                ordered = values[[each.name for each in served.outcomes]].sort_index()
                found[str(name)] = nondominated(ordered.to_numpy(float), served.outcomes)
    return found


def spread(draws: NDArray[Any], current: int) -> NDArray[np.float64]:
    """Covariance (S, M, M) over draws (D, S, M) of the differences from the current row, in per cent of its value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = 100 * (draws.astype(np.float64) / draws[:, current : current + 1] - 1)
    apart = np.nan_to_num(gains - gains.mean(axis=0))
    return np.asarray(np.einsum("dsm,dsn->smn", apart, apart) / (len(draws) - 1))


LIMITS = ("cost/parameters", "cost/latency_ms")
"""Costs that sliders limit."""


def heads_plane(front: Frontier) -> Plane:
    """The front of heads in the columns of a served front.

    Differences are from the current point, else from the composite of single-task models, else in each objective from
    its best single-task trial. They are in the metric's own unit where that is read in thousandths, else a fraction.
    """
    axes = tuple(Axis(each.name, each.direction, not in_thousandths(each.name)) for each in front.objectives)
    found, rows = front.table, front.points
    same = ("point", "name", "role", "architecture", "sharing", "balancing", "on_front", "p_nondominated")
    facts: dict[str, Any] = {"kind": None, "weights": None, "params": [each.params for each in rows]}
    facts |= {name: [each.metrics.get(name) for each in rows] for name in LIMITS}
    table = found[[name for name in (*same, "replicates", "samples") if name in found]]
    table = table.join(pd.DataFrame(facts, index=found.index))
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
            single = axis.sign * (value * axis.sign)[table["sharing"] == "single_task"].max()
            base = single if reference is None else value.loc[reference]
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


MOST_DRAWS, MOST_DRAWN = 200, 60_000
"""Posterior draws that a page carries, and numbers in them: of more rows it takes the best, all roles among them."""


@dataclass(frozen=True)
class Decision:
    """The choices behind the sliders: rows of `Choices`, thinned.

    Attributes:
        table: as in `Choices`, the rows kept.
        axes: of the sliders, (M,).
        values: (R, M), as the choices have them.
        confidence: of a policy that says nothing; 0 where nothing is known.
        sure: (R, M), the share of current's value that each keeps with that confidence.
        deployable: (R,), which can be packaged.
        draws: (D, R, M) float32, D = 0 where nothing is known.
        costs: columns of the table that can be limited, smaller is better.
        current, pick: places in the table; `runners_up` come after the pick by the run's policy.
    """

    table: pd.DataFrame
    axes: tuple[Axis, ...]
    values: NDArray[np.float64]
    confidence: float
    sure: NDArray[np.float64]
    deployable: NDArray[np.bool_]
    draws: NDArray[np.float32]
    costs: tuple[str, ...]
    current: int
    pick: int | None
    runners_up: tuple[int, ...]


def decision_of(choices: Choices, pick: Pick | None) -> Decision | None:
    """What the sliders need; None without choices, or without a current point to differ from."""
    if choices.current is None or not len(choices.table):
        return None
    table, names = choices.table.reset_index(drop=True), choices.objectives
    axes = tuple(Axis(each, choices.directions[each], choices.served or not in_thousandths(each)) for each in names)
    known = len(choices.draws) if set(names) <= set(choices.drawn) else 0
    shown = np.unique(np.linspace(0, known - 1, min(known, MOST_DRAWS)).astype(int)) if known else np.arange(0)
    after = [each.row for each in pick.runners_up] if pick else []
    needed = [choices.current, *([pick.row] if pick else []), *after]
    likely = (
        table["p_nondominated"].astype(float).fillna(0) + 2.0 * table["on_front"] + 4.0 * (table["role"] != "trial")
    )
    likely.iloc[needed] = np.inf
    most = max(MOST_DRAWN // (max(len(shown), 1) * len(names)), len(needed))
    kept = np.sort(likely.sort_values(ascending=False, kind="stable").index.to_numpy()[:most])
    place = {int(row): at for at, row in enumerate(kept)}
    sure = [choices.sure_shares(name, Guard().confidence, choices.sign(name) > 0)[kept] for name in names]
    draws = np.empty((0, len(kept), len(names)), dtype=np.float32)
    if known:
        draws = choices.draws[shown][:, kept][:, :, [choices.drawn.index(name) for name in names]].astype(np.float32)
    return Decision(
        table=table.iloc[kept].reset_index(drop=True),
        axes=axes,
        values=table.iloc[kept][list(names)].to_numpy(dtype=float),
        confidence=Guard().confidence if known else 0.0,
        sure=np.stack(sure, axis=1),
        deployable=choices.deployable[kept],
        draws=draws,
        costs=tuple(name for name in LIMITS if name in table and table[name].nunique() > 1 and name not in names),
        current=place[choices.current],
        pick=place[pick.row] if pick else None,
        runners_up=tuple(place[row] for row in after),
    )


@dataclass(frozen=True)
class View:
    """One section of a page: a run on one data set.

    Attributes:
        records: all trials of the run, in any state: for what the search did.
        front: of heads.
        planes: served outcomes where there are any, then heads.
        title: of the data set, for people; `dataset` is its id, `about` stands below the title.
        verdict: `kind`, `sentence`, and `keep`: whether it says to keep the current point.
        run: its name, as `seesaw pick` takes it.
        current: what the current point is, in one sentence.
        pick: None where there is none, and `no_pick` says why.
        policy: the run's policy, as TOML.
        also: sentences beside the pick's: exchange rates, what models alone gain, the answer about gradient methods.
        commands: what a command does, and the command.
        made: how it was made, in the order to show: fingerprint, seed, space, versions, command, ...
        incomplete: sentences where the time limit ended the search early, the run has not ended, or replicates failed.
        areas: headers and rows: areas under the curve over all rows and within groups, where groups are ranked.
    """

    records: Sequence[TrialRecord]
    front: Frontier
    planes: tuple[Plane, ...]
    title: str
    dataset: str
    verdict: Mapping[str, Any]
    about: str = ""
    run: str = ""
    current: str = ""
    decision: Decision | None = None
    pick: Pick | None = None
    no_pick: str = ""
    policy: str = ""
    also: Sequence[str] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    incomplete: str = ""
    areas: AreaTable = ([], [])

    @property
    def heads(self) -> Plane:
        """The plane of heads."""
        return self.planes[-1]

    @property
    def trials(self) -> int:
        """How many points have a result."""
        return int((self.heads.table["role"] == "trial").sum())

    @property
    def why(self) -> list[str]:
        """Sentences: the pick's, what its training lost, those beside it, and what seeds do."""
        picked = [each for each in self.front.points if self.pick and each.id == self.pick.point]
        lost = [told for each in picked for told in overtraining(each.diagnosis)]
        return [*([self.pick.sentence] if self.pick else []), *lost, *self.also, *seed_effects(self.front)]
