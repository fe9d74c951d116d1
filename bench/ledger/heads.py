"""The frontier of a run: its points, the non-dominated ones among them, and how sure that is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.core.arrays import Floats
from bench.core.errors import listed
from bench.core.objectives import Objective, in_thousandths, keys_on
from bench.core.records import Point, TrialRecord
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.seeds import derive
from bench.ledger.comparison.beyond import Answer
from bench.ledger.effect import Effect
from bench.ledger.errors.evidence import evidence_by_id, means_of
from bench.ledger.errors.intervals import differences, intervals, reflected
from bench.ledger.errors.posterior import p_nondominated, posterior_draws
from bench.ledger.errors.seed_noise import seed_noise
from bench.ledger.ledger import (
    ALL,
    GAIN,
    GAIN_HIGH,
    GAIN_LOW,
    HIGH,
    LOW,
    PARTS,
    SD,
    VALUE,
    Ledger,
    gains_over,
)
from bench.ledger.pareto import UNRANKED, hypervolume, ranks, resolve_reference
from bench.ledger.points import (
    BASELINE,
    TWIN,
    candidates,
    compared_split,
    confirmed,
    estimates,
    points,
    points_of_run,
    replicated,
    source_ids,
)

PLAUSIBLE = 0.05
"""A point that nothing dominates with at least this probability may belong to the front."""
SUSPECT, APART = 0.98, 0.03
"""AUC from which on trees tell a task almost fully, and how far networks must be behind to make
that suspicious.
"""
LIMITS = ("cost/parameters", "cost/latency_ms")
"""Costs of each point that its table has."""
VOLUMES = 1000
"""Posterior draws of which the hypervolume is taken."""


@dataclass(frozen=True)
class Frontier(Ledger):
    """The non-dominated set among all points of a run in its objectives, see `bench.ledger.points`.

    The table has trials by number and length, then baselines, then the current point. Besides its
    facts: `trial` (missing for the others); in a search by rungs `rung`, from 0, and `samples` that
    it was trained on; `sharing, funnel, balancing, baseline, config` (JSON), `params`, costs;
    `replicates` and `replicates_failed`; `rank` (0 is the front; missing for points that were not
    compared).

    Cells of validation are what the search saw, those of confirmation rows and test means over
    replicates. Gains are over the current point, else over the best single-task models together:
    `current` is the row of either. Where neither has replicates, they are over the best single-task
    model of each objective.

    Attributes:
        points: of the table's rows.
        split: whose rows it was compared on: `CONFIRM` where points were confirmed (only those are
            compared then), else `SEARCH`.
        reference: of the hypervolume, by objective name.
        hypervolume: of the points of trials: of what the search found.
        volume: the same of true values: that of the means less the bias that it has from taking the
            best of noisy values; None where nothing is known.
        answer: whether gradient methods lie beyond static weights, on test; None until somebody has
            asked.
    """

    points: tuple[Point, ...]
    split: str
    reference: dict[str, float]
    hypervolume: float
    volume: Effect | None = None
    answer: Answer | None = None

    @property
    def keys(self) -> list[str]:
        """The objectives' keys on the frontier's split."""
        return keys_on(self.measures, self.split)

    @property
    def estimates(self) -> Floats:
        """(S, M), what points are compared by: of a cost that no replicate measured, the search's
        value.
        """
        values = self.at(self.split)
        is_cost = np.array([not measure.is_metric for measure in self.measures])
        return np.where(np.isnan(values) & is_cost, self.at(SEARCH), values)

    @property
    def best(self) -> list[int]:
        """Rows of the front, best in the first objective first."""
        merits = self.measures[0].sign * self.estimates[:, 0]
        rows = np.flatnonzero(self.front).tolist()
        return sorted(rows, key=lambda row: (-merits[row], self._trial(row)))

    @property
    def plausible(self) -> list[int]:
        """Rows of the front, and then those that are on it with a probability of at least
        `PLAUSIBLE`.
        """
        first_on_front = 2.0  # above every probability
        chances = np.where(self.front, first_on_front, self.table["p_nondominated"].to_numpy(float))
        merits = np.nan_to_num(self.measures[0].sign * self.estimates[:, 0], nan=-np.inf)
        rows = np.flatnonzero(chances >= PLAUSIBLE).tolist()
        return sorted(rows, key=lambda row: (-chances[row], -merits[row], self._trial(row)))

    @property
    def by_trial(self) -> dict[int, int]:
        """By trial its row of the best rank, the longest of equals."""
        ranks = self.table["rank"].astype(float).fillna(math.inf)
        rows = np.flatnonzero(self.table["role"] == "trial").tolist()
        worst_first = sorted(rows, key=lambda row: (ranks[row], -row), reverse=True)
        row_of_trial = {int(self._trial(row)): row for row in worst_first}
        return dict(sorted(row_of_trial.items()))

    def _trial(self, row: int) -> float:
        number = self.table["trial"].iloc[row]
        return math.inf if pd.isna(number) else float(number)

    def ahead_of(self, point: str) -> list[str]:
        """Names of the points that are surely better than one in every objective, on test: each at
        5%, one-sided.
        """
        by_id = evidence_by_id(self.points, keys_on(self.measures, TEST))
        compared = differences([*by_id.values()]) if point in by_id else None
        if compared is None:
            return []
        ids = list(by_id)
        place_of_point = ids.index(point)
        name_of = dict(zip(self.table["point"], self.table["name"], strict=True))
        ahead = []
        for place, candidate in enumerate(ids):
            gains = compared.improvements(place, place_of_point, self.measures)
            if all(gain.gained for gain in gains):
                ahead.append(str(name_of[candidate]))
        return ahead

    @property
    def suspicion(self) -> str:
        """A sentence where boosted trees tell a task almost fully on confirmation rows, and no
        network nearly so.

        Networks hardly find what two columns tell only together, such as a planned and an actual
        time. Such columns are often known only after the impression.
        """
        is_trees = (self.table["point"] == "trees").to_numpy()
        is_network = (self.table["role"] == "trial").to_numpy()
        tasks = []
        for values, name in zip(self.at(CONFIRM).T, self.names, strict=True):
            task, _, metric = name.rpartition(".")
            if metric not in ("auc", "gauc"):
                continue
            trees = np.fmax.reduce(values[is_trees], initial=-np.inf)
            networks = np.fmax.reduce(values[is_network], initial=-np.inf)
            if trees >= SUSPECT and -np.inf < networks <= trees - APART:
                tasks.append(f"{task} ({metric.upper()} {trees:.3f}; networks {networks:.3f})")
        if not tasks:
            return ""
        return (
            f"Boosted trees tell {listed(tasks)} almost fully: first check that no input is "
            "known only afterwards."
        )

    def to_json(self) -> dict[str, Any]:
        """The document of `seesaw show --json`.

        A point's `metrics` are the search's values (`valid/..`) and its replicates' means
        (`confirm/..`, `test/..`).
        """
        document: dict[str, Any] = {"points": [self._point(row) for row in self.best]}
        if self.answer:
            document["answer"] = self.answer.to_json()
        beside_trials = np.flatnonzero(self.table["role"] != "trial").tolist()
        document["baselines"] = list(map(self._baseline, beside_trials))
        document["hypervolume"] = self._hypervolume()
        return document

    def _hypervolume(self) -> dict[str, Any]:
        volume: dict[str, Any] = {"value": self.hypervolume}
        if self.volume:
            volume["ci"] = [self.volume.low, self.volume.high]
            volume["corrected"] = self.volume.value
        volume["reference"] = self.reference
        volume["split"] = self.split
        volume["basis"] = "replicates" if self.split == CONFIRM else "search"
        return volume

    def _point(self, row: int) -> dict[str, Any]:
        facts = self.table.iloc[row]
        point: dict[str, Any] = {
            "point": facts["point"],
            "role": facts["role"],
            "trial": _plain(facts["trial"]),
        }
        if "samples" in facts:
            point["samples"] = _plain(facts["samples"])
        metrics = self._numbers(row, splits=(SEARCH,))
        metrics |= self._by_key(self.estimates[row], self.split)
        point["architecture"] = facts["architecture"]
        point["config"] = json.loads(facts["config"])
        point["metrics"] = metrics
        point["replicates"] = int(facts["replicates"])
        if facts["replicates"]:
            metrics |= self._numbers(row)
            point["sd"] = self._numbers(row, "sd")
            point["ci"] = self._intervals(row)
        if pd.notna(facts["p_nondominated"]):
            point["p_nondominated"] = float(facts["p_nondominated"])
        return point

    def _baseline(self, row: int) -> dict[str, Any]:
        """A baseline or the current point: `metrics` and `ci` by key, without what was not
        measured.
        """
        facts = self.table.iloc[row]
        id = self.points[row].id
        sources = source_ids(self.points[row])
        twins, trials = [], set()
        for source in sources:
            if source.startswith(TWIN):
                twins.append(source)
            else:
                trials.add(int(source.partition("@")[0]))
        baseline: dict[str, Any] = {"name": id}
        if trials:
            baseline["trials"] = sorted(trials)
        if twins:
            baseline["twins"] = twins
        return baseline | {
            "replicates": int(facts["replicates"]),
            "metrics": self._numbers(row),
            "ci": self._intervals(row),
            "on_front": bool(facts["on_front"]),
            "p_nondominated": _plain(facts["p_nondominated"]),
        }

    def _numbers(
        self, row: int, part: str = "value", splits: Sequence[str] = (CONFIRM, TEST)
    ) -> dict[str, float]:
        """By key what was measured of a point on some splits."""
        numbers: dict[str, float] = {}
        for split in splits:
            numbers |= self._by_key(self.at(split, part)[row], split)
        return numbers

    def _by_key(self, values: Floats, split: str) -> dict[str, float]:
        by_key = {}
        for measure, value in zip(self.measures, values.tolist(), strict=True):
            if not math.isnan(value):
                by_key[measure.key(split)] = value
        return by_key

    def _intervals(self, row: int) -> dict[str, list[float]]:
        lows, highs = self._numbers(row, "low"), self._numbers(row, "high")
        return {key: [low, highs[key]] for key, low in lows.items()}


def frontier(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float] | None = None,
    seed: int = 0,
    baselines: Sequence[Point] = (),
) -> Frontier:
    """The frontier of trial records; raises UserError if an objective has no reference, or a
    reference no objective.

    Args:
        reference: hypervolume reference by objective name; defaults fill what it leaves out.
        seed: of the run, for what is simulated, as behind `p_nondominated`.
        baselines: points that are no trials of the search, with their replicates, the current point
            among them. They are compared like every confirmed point; one that lacks an objective is
            not.
    """
    complete = resolve_reference(objectives, reference)
    all_points = points_of_run(records, baselines, objectives)
    stands_for = _same_points(all_points)
    distinct, ids = [], []
    for point in all_points:
        ids.append(stands_for.get(point.id, point.id))
        if point.id not in stands_for:
            distinct.append(point)

    compared = candidates(distinct)
    split = compared_split(distinct)
    values = estimates(compared, objectives, split)
    rank_of, is_trial = {}, []
    for point, rank in zip(compared, ranks(values, objectives), strict=True):
        rank_of[point.id] = rank
        is_trial.append(point.role == "trial")
    chances, volume = _chances_and_volume(distinct, objectives, complete, split, seed)
    current = _row_of_current(all_points)
    return Frontier(
        measures=tuple(objectives),
        table=_table(all_points, ids, rank_of, chances),
        cells=_cells(all_points, distinct if chances else (), ids, objectives, current),
        draws={},
        current=current,
        points=tuple(all_points),
        split=split,
        reference=complete,
        hypervolume=hypervolume(values[is_trial], objectives, complete),
        volume=volume,
    )


def _same_points(points: Sequence[Point]) -> dict[str, str]:
    """By id of a composite the one point that it is: where that is the best single-task model of
    every task, these together are no other point.
    """
    stands_for = {}
    for point in points:
        ids = source_ids(point)
        if len(ids) == 1:
            stands_for[point.id] = ids[0]
    return stands_for


def _row_of_current(points: Sequence[Point]) -> int | None:
    """The row of the current point, else of the best single-task models together; None without
    replicates of either.
    """
    row_of_composite = None
    for row, point in enumerate(points):
        if not confirmed(point):
            continue
        if point.role == "current":
            return row
        if point.kind == BASELINE and row_of_composite is None:
            row_of_composite = row
    return row_of_composite


def _table(
    points: Sequence[Point],
    ids: Sequence[str],
    rank_of: Mapping[str, int],
    chances: Mapping[str, float],
) -> pd.DataFrame:
    """The facts of all points, with ranks and P(non-dominated) by the ids that they stand for."""
    table = _facts(points)
    rank = pd.Series([rank_of.get(id) for id in ids], dtype=float)
    table["rank"] = rank.where(rank != UNRANKED).astype("Int64")
    table["on_front"] = (table["rank"] == 0).fillna(False).astype(bool)
    table["p_nondominated"] = np.array([chances.get(id, np.nan) for id in ids], dtype=float)
    return table


def _chances_and_volume(
    points: Sequence[Point],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
) -> tuple[dict[str, float], Effect | None]:
    """By id P(non-dominated), and the hypervolume of the true values of trials; nothing where no
    noise is known.
    """
    by_id = evidence_by_id(points, keys_on(objectives, split))
    evidence = list(by_id.values())
    noise = seed_noise(evidence) if evidence else None
    if noise is None:
        return {}, None
    chances = p_nondominated(evidence, objectives, derive(seed, "p_nondominated"))
    assert chances is not None
    trials = {point.id for point in points if point.role == "trial"}
    is_trial = np.array([id in trials for id in by_id])
    volume = None
    if is_trial.any():
        drawn = posterior_draws(evidence, noise, derive(seed, "hypervolume"), VOLUMES)
        measured = hypervolume(means_of(evidence)[is_trial], objectives, reference)
        volumes = [hypervolume(values, objectives, reference) for values in drawn[:, is_trial]]
        volume = reflected(measured, np.array(volumes))
    return dict(zip(by_id, chances.tolist(), strict=True)), volume


def _facts(points: Sequence[Point]) -> pd.DataFrame:
    unused = Point("trees", {}, "")  # so that an empty run has columns, too
    table = pd.DataFrame(list(map(_fact, [*points, unused]))).iloc[:-1]
    whole = ["trial", "rung", "samples"]
    if not any(point.rungs for point in points):
        table = table.drop(columns=["rung", "samples"])
        whole = ["trial"]
    return table.astype(dict.fromkeys(whole, "Int64"))  # which a baseline may lack


def _fact(point: Point) -> dict[str, Any]:
    failed = sum(run.failure is not None for run in point.replicates)
    limited = {name: point.metrics.get(name) for name in LIMITS}
    return {
        "point": point.id,
        "name": point.name,
        "role": point.role,
        "kind": None,
        "weights": None,
        "trial": point.number,
        "rung": len(point.rungs) - 1 if point.rungs else None,
        "samples": point.samples,
        "architecture": point.architecture,
        "sharing": point.sharing,
        "funnel": point.funnel,
        "balancing": point.balancing,
        "baseline": point.baseline,
        "config": json.dumps(point.config),
        "params": point.params,
        **limited,
        "replicates": len(point.replicates) - failed,
        "replicates_failed": failed,
    }


def _cells(
    points: Sequence[Point],
    with_noise: Sequence[Point],
    ids: Sequence[str],
    objectives: Sequence[Objective],
    current: int | None,
) -> dict[tuple[str, str], Floats]:
    """Cells of all points. Each metric is taken by itself, as some may be missing somewhere.

    Args:
        with_noise: points whose noise is known.
        ids: of all points: of each the point with noise that stands for it.
        current: the row that gains are over.
    """
    shape = len(points), len(objectives), len(PARTS)
    by_split_and_slice = {}
    for split in (SEARCH, CONFIRM, TEST):
        cells = np.full(shape, np.nan)
        by_split_and_slice[split, ALL] = cells
        for column, objective in enumerate(objectives):
            of_metric, key = cells[:, column], objective.key(split)
            if split == SEARCH:
                of_metric[:, VALUE] = [point.metrics.get(key, np.nan) for point in points]
            else:
                _set_replicates(of_metric, points, key)
                _set_intervals(of_metric, with_noise, ids, key, objective, current)
            _set_gains(of_metric, points, objective, current)
    return by_split_and_slice


def _set_replicates(cells: Floats, points: Sequence[Point], key: str) -> None:
    """Sets means and deviations of replicates, of a metric's cells (S, parts)."""
    for row, point in enumerate(points):
        values = replicated(point, key)
        if values:
            cells[row, VALUE] = np.mean(values)
        if len(values) > 1:
            cells[row, SD] = np.std(values, ddof=1)


def _set_intervals(
    cells: Floats,
    points: Sequence[Point],
    ids: Sequence[str],
    key: str,
    objective: Objective,
    current: int | None,
) -> None:
    """Sets the ends of a metric's intervals, and of its differences from the current row, of cells
    (S, parts).
    """
    by_id = evidence_by_id(points, [key])
    evidence = list(by_id.values())
    if not evidence:
        return
    effects, compared = intervals(evidence), differences(evidence)
    if effects is None or compared is None:
        return
    place_of = {id: place for place, id in enumerate(by_id)}
    place_of_current = None if current is None else place_of.get(ids[current])
    for row, id in enumerate(ids):
        if id not in place_of:
            continue
        place = place_of[id]
        [effect] = effects[place]
        cells[row, [LOW, HIGH]] = effect.low, effect.high
        if place_of_current is not None:
            [gain] = compared.improvements(place, place_of_current, [objective])
            cells[row, [GAIN_LOW, GAIN_HIGH]] = gain.low, gain.high


def _set_gains(
    cells: Floats, points: Sequence[Point], objective: Objective, current: int | None
) -> None:
    """Sets gains of a metric's cells (S, parts) over the current row, or over the best single-task
    point where there is none. The ends of their intervals, so far differences, come to their unit.
    """
    if current is not None:
        base = cells[current, VALUE]
    else:
        single = [row for row, point in enumerate(points) if point.sharing == BASELINE]
        merits = cells[single, VALUE] * objective.sign
        base = objective.sign * np.fmax.reduce(merits, initial=np.nan)
    is_fraction = not in_thousandths(objective.name)
    units = np.array([np.nan if is_fraction else 1.0])
    signs = np.array([objective.sign])
    cells[:, GAIN] = gains_over(cells[:, [VALUE]], np.array([base]), signs, units)[:, 0]
    if is_fraction:
        cells[:, [GAIN_LOW, GAIN_HIGH]] /= abs(base)


def front_volume(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float] | None = None,
) -> float:
    """The hypervolume of `frontier`, without what is simulated: no posterior, no intervals."""
    values = estimates(candidates(points(records, objectives)), objectives)
    return hypervolume(values, objectives, resolve_reference(objectives, reference))


def _plain(value: Any) -> Any:
    """A number as JSON has it; None where it is missing."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
