"""The served front: candidates under all fusions, measured by outcomes of their rankings.

Weights are chosen on `confirm`, what is chosen is told on `test`: a point that was chosen on a split looks too good
there. A pick also reads the means on `valid`, see `bench.frontier.choices`.

Candidates share one grid of weights, denser where their front bends or has gaps. Weights are w_t ~ u_t^2 with u on a
lattice of the simplex: even steps of u are steps of the logarithm near the ends, where a rare task is won, and both
ends (one task alone) are on the lattice. A refinement halves edges of that lattice, so that the same front always asks
for the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import UserError, check_known
from bench.frontier.pareto import lattice
from bench.frontier.score import KINDS, Fusion, Kind
from bench.frontier.served.errors import Points, Seeds, draws_of, seeds_of
from bench.frontier.served.front import (
    gains,
    kept,
    on_front,
    reach,
    rivals,
    share_nondominated,
    told,
    unequal,
    volume_of,
)
from bench.frontier.served.measuring import RESAMPLES, Candidate, Current, Meter, segment_table
from bench.frontier.statistics import Interval, error_of
from bench.measure.outcomes import Measure
from bench.objectives import Objective
from bench.predictions import Rows
from bench.rows import CONFIRM, SEARCH, TEST
from bench.seeds import derive

Floats = NDArray[np.float64]

STEPS = {2: 16, 3: 5, 4: 4, 5: 3}
"""Steps of the first lattice, by number of tasks: 32 to 66 settings of both kinds together."""
POWER = 2
"""w_t ~ u_t^POWER: with two tasks and 16 steps the smallest weight is 1/226."""
ROUNDS, MOST_HALVED = 3, 8
"""Rounds in which a sweep is refined, and the most settings that each round adds."""
BEND = 4.0
"""How much a bend counts against a gap, both in parts of the front's range."""
GAP = 0.02
"""Nearer neighbours on the front are not refined, in the same unit."""


class Sweep:
    """The settings so far, and the edges between neighbours on each kind's lattice.

    Attributes:
        settings: in the order in which they were asked for.
    """

    def __init__(self, tasks: int, kinds: Sequence[Kind] = KINDS, also: Sequence[Fusion] = ()) -> None:
        """Begins with single settings and the lattices of all kinds."""
        self.settings: list[Fusion] = []
        self._places: dict[Fusion, int] = {}
        self._edges: dict[tuple[int, int], tuple[Kind, NDArray[np.int64], NDArray[np.int64]]] = {}
        for setting in also:
            self._add(setting)
        steps = STEPS[tasks]
        nodes = lattice(tasks, steps) * 2**ROUNDS
        apart = np.abs(nodes[:, None] - nodes[None]).sum(axis=-1)
        for kind in kinds:
            for node in nodes:
                self._place(kind, node)
            for i, j in np.argwhere(apart == 2 * 2**ROUNDS).tolist():
                if i < j:
                    self._edge(kind, nodes[i], nodes[j])

    def refine(self, values: Floats, front: NDArray[np.bool_]) -> list[Fusion]:
        """The settings that are added where the front bends or has gaps; none where it is even.

        Args:
            values: (C, K, M) outcomes, more is better, of C candidates under the K settings so far.
            front: (C, K), which of them are on the front of all.
        """
        known = values[front]
        if not len(known):
            return []
        unit = np.ptp(known, axis=0)
        scaled = np.nan_to_num(values / np.where(unit > 0, unit, np.inf))
        bends = self._bends(scaled)
        urgent: list[tuple[float, tuple[int, int]]] = []
        for (i, j), (_, first, last) in self._edges.items():
            touched = front[:, i] | front[:, j]
            if touched.any() and (np.abs(first - last) > 1).any():
                gap = np.sqrt(((scaled[touched, i] - scaled[touched, j]) ** 2).sum(axis=-1))
                bend = np.maximum(bends[touched, i], bends[touched, j])
                if gap.max() > GAP:
                    urgent.append((float((gap + BEND * bend).max()), (i, j)))
        before = len(self.settings)
        for _, edge in sorted(urgent, key=lambda each: (-each[0], each[1]))[:MOST_HALVED]:
            kind, first, last = self._edges.pop(edge)
            middle = (first + last) // 2
            self._place(kind, middle)
            self._edge(kind, first, middle)
            self._edge(kind, middle, last)
        return self.settings[before:]

    def lines(self) -> list[list[int]]:
        """Of two tasks, for each kind the places of its settings from one end to the other."""
        found = []
        for kind in dict.fromkeys(kind for kind, _, _ in self._edges.values()):
            ends = [edge for edge, (own, _, _) in self._edges.items() if own == kind]
            places = {at for edge in ends for at in edge}
            found.append(sorted(places, key=lambda at: self.settings[at].weights[0]))
        return found

    def _bends(self, scaled: Floats) -> Floats:
        """(C, K), how far a setting's outcomes lie from the chord of its two neighbours; 0 with more than two tasks."""
        found = np.zeros(scaled.shape[:2])
        if len(self.settings[0].weights) == 2:
            for line in self.lines():
                for before, at, after in zip(line, line[1:], line[2:], strict=False):
                    chord = scaled[:, after] - scaled[:, before]
                    length = np.maximum((chord**2).sum(axis=-1, keepdims=True), 1e-12)
                    share = ((scaled[:, at] - scaled[:, before]) * chord).sum(axis=-1, keepdims=True) / length
                    off = scaled[:, at] - scaled[:, before] - share.clip(0, 1) * chord
                    found[:, at] = np.maximum(found[:, at], np.sqrt((off**2).sum(axis=-1)))
        return found

    def _edge(self, kind: Kind, first: NDArray[np.int64], last: NDArray[np.int64]) -> None:
        self._edges[self._place(kind, first), self._place(kind, last)] = kind, first, last

    def _place(self, kind: Kind, node: NDArray[np.int64]) -> int:
        raised = node.astype(float) ** POWER
        return self._add(Fusion.of(kind, raised.tolist()))

    def _add(self, setting: Fusion) -> int:
        if setting not in self._places:
            self._places[setting] = len(self.settings)
            self.settings.append(setting)
        return self._places[setting]


DRAWS = 2000
SPLITS = (CONFIRM, TEST)


@dataclass(frozen=True)
class Served:
    """The served front with its uncertainty.

    Attributes:
        outcomes: M, all to be maximised.
        table: a row for each of S kept serving points: `id` (its place), `point` (the candidate), `name`,
            `architecture`, `role`, `kind`, `weights` (by task, sum 1; empty for a score that is not fused), `on_front`
            (by means on confirmation rows), `p_nondominated` (that no kept point of another candidate dominates it, nor
            clearly one of its own). By split and outcome there are `s/o`, `s/o.low`, `s/o.high`, and the gain as a
            fraction of the current point's: `s/o.gain`, `s/o.gain.low`, `s/o.gain.high`. Intervals are NaN where they
            are unknown. `valid/o` is the mean on validation, where predictions of its rows are kept.
        draws: (D, S, M), what the true outcomes may be, jointly, on confirmation rows; test_draws: on test. D is 0
            where no candidate has two replicates.
        current: row of the current point.
        hypervolume: of the front on test, over a random order, as a share of the ideal's.
        replicates: of the candidates, the median.
        row_variance: (S, M), variance of the gains on test that comes from its rows alone.
        reach: half the width, in standard errors, of intervals on test that hold for whichever point was picked.
        random: (M,), outcomes of a random order, on test.
        segments: `row`, `segment` ("country=US"), `split`, `outcome`, `value`, `low`, `high`, `gain`, `gain.low`,
            `gain.high`; numbers are NaN where too few rows are positive; empty without segments.
    """

    outcomes: tuple[Objective, ...]
    table: pd.DataFrame
    draws: NDArray[np.float32]
    test_draws: NDArray[np.float32]
    current: int
    hypervolume: Interval
    replicates: int
    row_variance: Floats
    reach: float
    segments: pd.DataFrame
    random: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def known(self) -> bool:
        """Whether there are intervals: whether any candidate has two replicates."""
        return len(self.draws) > 0

    def means(self, split: str) -> Floats:
        """(S, M) of the table's points on that split."""
        return self.table[[each.key(split) for each in self.outcomes]].to_numpy(float)


def served_front(
    candidates: Sequence[Candidate],
    rows: Mapping[str, Rows],
    outcomes: Sequence[Objective],
    current: Current,
    seed: int,
    resamples: int = RESAMPLES,
    draws: int = DRAWS,
) -> Served:
    """Draws the served front.

    Args:
        rows: by split, `confirm` and `test`; `valid` where predictions of its rows are kept.

    Raises:
        UserError: fewer than two tasks or more than five, an outcome that is undefined on these rows, or an unknown
            current point.
    """
    names, tasks = [each.name for each in outcomes], rows[CONFIRM].tasks
    at = _checked(candidates, tasks, current)
    meters = {split: Meter(candidates, rows[split], split, names, resamples) for split in SPLITS}
    for split, meter in meters.items():
        _defined(meter.measure, names, split)
    fusion = current.fusion or Fusion.of("power", [1.0] * len(tasks))
    sweep, values = _swept(meters[CONFIRM], rows[CONFIRM], outcomes, fusion)
    means = np.array([each.mean(axis=0) for each in values])
    valid = unequal(values)
    shape = seeds_of(values, [each.seeds for each in candidates])
    error = np.zeros(len(names))
    if shape is not None:
        few = float(np.median([each.replicates for each in candidates]))
        error = np.sqrt(2 * (shape.shape**2).sum(axis=0).mean(axis=0) / few)
    now = _first(values[at], sweep.settings.index(fusion))
    places = kept(means, valid, error, outcomes, (at, now))
    of, settings = [c for c, _ in places], [k for _, k in places]
    points = {split: meter.parts(of, settings, sweep.settings, meter.measure)[0] for split, meter in meters.items()}
    row = places.index((at, now))
    known = shape is not None
    purpose = derive(seed, "served")
    drawn = {split: _drawn(each, shape, purpose, draws) for split, each in points.items()}
    front = on_front(means, valid, outcomes)[of, settings]
    table = _table(candidates, tasks, sweep.settings, places, front, meters[CONFIRM].scores)
    table["p_nondominated"] = (
        share_nondominated(drawn[CONFIRM], rivals(drawn[CONFIRM], table["point"].tolist())) if known else np.nan
    )
    parts = [
        segment_table(meter, rows[split], of, settings, sweep.settings, outcomes, row,
                      partial(_drawn, seeds=shape, seed=purpose, draws=draws))
        for split, meter in meters.items()
    ]  # fmt: skip
    columns = {
        f"{outcome.key(split)}{name}": values[:, column]
        for split in SPLITS
        for name, values in told(points[split].means, drawn[split], row).items()
        for column, outcome in enumerate(outcomes)
    }
    if SEARCH in rows:
        used = sorted(set(settings))
        swept = Meter(candidates, rows[SEARCH], SEARCH, names, 0).sweep([sweep.settings[k] for k in used])
        searched = np.array([swept[c][:, used.index(k)].mean(axis=0) for c, k in places])
        columns |= {outcome.key(SEARCH): searched[:, column] for column, outcome in enumerate(outcomes)}
    measure = meters[TEST].measure
    random = measure.random()[0]
    of_rows = draws_of(points[TEST], None, purpose, draws)
    return Served(
        outcomes=tuple(outcomes),
        table=pd.concat([table, pd.DataFrame(columns)], axis=1),
        draws=drawn[CONFIRM].astype(np.float32),
        test_draws=drawn[TEST].astype(np.float32),
        current=row,
        hypervolume=volume_of(points[TEST].means[front], drawn[TEST][:, front], outcomes, random,
                              _ideal(measure, rows[TEST], outcomes), known),
        replicates=round(float(np.median([each.replicates for each in candidates]))),
        row_variance=error_of(gains(of_rows, row)) ** 2,
        reach=reach(drawn[TEST], of_rows, row),
        segments=pd.concat(parts, ignore_index=True),
        random=random,
    )  # fmt: skip


def _drawn(points: Points, seeds: Seeds | None, seed: int, draws: int) -> Floats:
    """Draws in the precision that is kept, so that equal points are equal; none where nothing is known of seeds."""
    if seeds is None:
        return np.zeros((0, *points.means.shape))
    return draws_of(points, seeds, seed, draws).astype(np.float32).astype(np.float64)


def _checked(candidates: Sequence[Candidate], tasks: Sequence[str], current: Current) -> int:
    """The place of the current candidate."""
    if not 2 <= len(tasks) <= 5:
        raise UserError(f"a served front weighs 2 to 5 tasks, found {len(tasks)}; `seesaw pick` compares the heads")
    ids = [each.id for each in candidates]
    check_known("current point", current.id, ids, "served front")
    return ids.index(current.id)


def _defined(measure: Measure, names: Sequence[str], split: str) -> None:
    for name, value in zip(names, measure.random()[0], strict=True):
        if not np.isfinite(value):
            raise UserError(
                f"served front: '{name}' is not defined on {split}: expected rows with and without a positive label "
                f"(and a group, for an outcome by group); choose another outcome"
            )


def _swept(meter: Meter, rows: Rows, outcomes: Sequence[Objective], fusion: Fusion) -> tuple[Sweep, list[Floats]]:
    """All settings, that of the current point first, and by candidate the outcomes (n, K, M) of its replicates."""
    kinds = KINDS if all(rate > 0 for rate in rows.rates) else KINDS[:1]  # a sum divides by the rates
    sweep = Sweep(len(rows.tasks), kinds, [fusion])
    values = meter.sweep(sweep.settings)
    for _ in range(ROUNDS):
        means = np.array([each.mean(axis=0) for each in values])
        new = sweep.refine(means, on_front(means, unequal(values), outcomes))
        if not new:
            break
        more = meter.sweep(new)
        values = [np.concatenate(both, axis=1) for both in zip(values, more, strict=True)]
    return sweep, values


def _first(values: Floats, at: int) -> int:
    """The first setting with the same outcomes (n, K, M) as that at a place."""
    return int(np.flatnonzero((values == values[:, at : at + 1]).all(axis=(0, 2)))[0])


def _ideal(measure: Measure, rows: Rows, outcomes: Sequence[Objective]) -> Floats:
    """(M,) outcomes of ranking by each outcome's own labels."""
    by_task = {name: measure.values(np.nan_to_num(rows.labels[:, at].astype(np.float64)))[0]
               for at, name in enumerate(rows.tasks)}  # fmt: skip
    return np.array([by_task[each.name.partition(".")[0]][at] for at, each in enumerate(outcomes)])


def _table(
    candidates: Sequence[Candidate],
    tasks: Sequence[str],
    settings: Sequence[Fusion],
    places: Sequence[tuple[int, int]],
    front: NDArray[np.bool_],
    scores: set[int],
) -> pd.DataFrame:
    lines: list[dict[str, Any]] = []
    for at, (c, k) in enumerate(places):
        each, setting = candidates[c], settings[k]
        lines.append({
            "id": at, "point": each.id, "name": each.name, "architecture": each.architecture, "role": each.role,
            "kind": setting.kind, "weights": {} if c in scores else dict(zip(tasks, setting.weights, strict=True)),
            "on_front": bool(front[at]),
        })  # fmt: skip
    return pd.DataFrame(lines)
