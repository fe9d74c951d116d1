"""The frontier of a run: its points, the non-dominated ones among them, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.atomic import atomic_path
from bench.errors import listed
from bench.frontier.comparison.beyond import Answer
from bench.frontier.pareto import UNRANKED, hypervolume, ranks, resolve_reference
from bench.frontier.points import BASELINE, candidates, confirmed, estimates, points, points_of_run, rows_of, source_ids
from bench.frontier.statistics import Interval, replicate_keys, statistics, tabulate
from bench.objectives import Objective
from bench.records import Point, TrialRecord
from bench.rows import CONFIRM, SEARCH

PLAUSIBLE = 0.05
"""A point that nothing dominates with at least this probability may belong to the front."""
SUSPECT, APART = 0.98, 0.03
"""AUC from which on trees tell a task almost fully, and how far networks must be behind to make that suspicious."""


@dataclass(frozen=True)
class Frontier:
    """The non-dominated set among all points of a run, see `bench.frontier.points`.

    Attributes:
        table: one row for each of them, trials by number and length, then baselines, then the current point: `point`
            (its id), `name`, `role` (trial, baseline or current), `trial` (missing for the others); in a search by
            rungs `rung`, from 0, and `samples` that it was trained on; `architecture, sharing, funnel, balancing,
            baseline, config` (JSON); for each objective under its key on validation (`valid/income.auc`) the value the
            search saw; where there are replicates, `<key>.mean` and `<key>.sd` on confirmation rows
            (`confirm/income.auc`) and test; `replicates` and `replicates_failed`; `rank` (0 is the front; missing for
            points that were not compared), `on_front`; `<key>.low` and `<key>.high`, the ends of the means' 90%
            intervals; `<key>.gain`, `<key>.gain.low` and `<key>.gain.high`, how much better the mean is than that of
            the point `against`, in the metric's unit, and its paired 90% interval; `p_nondominated`.
        points: of the rows.
        split: whose rows it was compared on: `bench.rows.CONFIRM` where points were confirmed (only those are compared
            then), else `SEARCH`.
        reference: of the hypervolume, by objective name.
        hypervolume: of the points of trials: of what the search found.
        volume: the same of true values, see `bench.frontier.statistics.statistics`; None where nothing is known.
        answer: whether gradient methods lie beyond static weights, on test; None until somebody has asked.
        against: id of the point that gains are differences from: the current point, else the best single-task models;
            None where neither has replicates.
    """

    table: pd.DataFrame
    points: tuple[Point, ...]
    objectives: tuple[Objective, ...]
    split: str
    reference: dict[str, float]
    hypervolume: float
    volume: Interval | None = None
    answer: Answer | None = None
    against: str | None = None

    @property
    def basis(self) -> str:
        """`replicates` where points were confirmed, else `search`."""
        return "replicates" if self.split == CONFIRM else "search"

    @property
    def keys(self) -> list[str]:
        """The objectives' keys on the frontier's split."""
        return [objective.key(self.split) for objective in self.objectives]

    @property
    def front(self) -> pd.DataFrame:
        """The table's rows on the front, best in the first objective first, with their estimates under `keys`."""
        rows = self._estimated(self.table[self.table["on_front"]])
        order = [self.objectives[0].direction == "minimize", True]
        return rows.sort_values([self.keys[0], "trial"], ascending=order, kind="stable", ignore_index=True)

    @property
    def by_trial(self) -> pd.DataFrame:
        """The table with one row a trial: its point of the best rank, the longest of equals."""
        rows = (
            self.table[self.table["role"] == "trial"]
            .iloc[::-1]
            .sort_values("rank", kind="stable")
            .drop_duplicates("trial")
        )
        return rows.sort_values("trial", ignore_index=True)

    @property
    def suspicion(self) -> str:
        """A sentence where boosted trees tell a task almost fully on confirmation rows, and no network nearly so.

        Networks hardly find what two columns tell only together, such as a planned and an actual time. Such columns are
        often known only after the impression.
        """
        found = []
        for objective in self.objectives:
            key = f"{objective.key(CONFIRM)}.mean"
            task, _, metric = objective.name.rpartition(".")
            if metric in ("auc", "gauc") and key in self.table:
                values = self.table[key].astype(float)
                trees = values[self.table["point"] == "trees"].max()
                networks = values[self.table["role"] == "trial"].max()
                if trees >= SUSPECT and networks <= trees - APART:
                    found.append(f"{task} ({metric.upper()} {trees:.3f}; networks {networks:.3f})")
        if not found:
            return ""
        return f"Boosted trees tell {listed(found)} almost fully: first check that no input is known only afterwards."

    def _estimated(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Some of the table's rows, with what they were compared by under `keys`."""
        rows = rows.copy()
        for key in self.keys:
            if f"{key}.mean" in rows:
                rows[key] = rows[f"{key}.mean"].fillna(rows[key]) if key in rows else rows[f"{key}.mean"]
        return rows

    @property
    def plausible(self) -> pd.DataFrame:
        """The table's rows on the front, and those that are on it with a probability of at least `PLAUSIBLE`.

        The front first, then by falling probability; with their estimates under `keys`.
        """
        rows = self._estimated(self.table[self.table["on_front"] | (self.table["p_nondominated"] >= PLAUSIBLE)])
        value = rows[self.keys[0]] * self.objectives[0].sign
        order = rows.assign(value=value, chance=rows["p_nondominated"].where(~rows["on_front"], 1.0))
        return order.sort_values(["on_front", "chance", "value", "trial"], ascending=[False, False, False, True])[
            list(rows.columns)
        ].reset_index(drop=True)

    def to_json(self) -> dict[str, Any]:
        """The document of `seesaw frontier --json`.

        A point's `metrics` are the search's values (`valid/..`) and its replicates' means (`confirm/..`, `test/..`).
        """
        volume = self.volume
        return {
            "points": [self._point(row) for row in self.front.to_dict("records")],
            **({"answer": self.answer.to_json()} if self.answer else {}),
            "baselines": [self._baseline(at) for at, point in enumerate(self.points) if point.role != "trial"],
            "hypervolume": {
                "value": self.hypervolume,
                **({"ci": [volume.low, volume.high], "corrected": volume.value} if volume else {}),
                "reference": self.reference,
                "split": self.split,
                "basis": self.basis,
            },
        }

    def _point(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        point: dict[str, Any] = {
            "point": row["point"],
            "role": row["role"],
            "trial": _known(row["trial"]),
            **({"samples": _known(row["samples"])} if "samples" in row else {}),
            "architecture": row["architecture"],
            "config": json.loads(row["config"]),
            "metrics": {
                key: row[key]
                for each in self.objectives
                for key in (each.key(SEARCH), each.key(self.split))
                if pd.notna(row[key])
            },
            "replicates": row["replicates"],
        }
        if row["replicates"]:
            means, ends = self._means(row)
            point["metrics"] |= means
            point["sd"] = {key: row[f"{key}.sd"] for key in means if pd.notna(row[f"{key}.sd"])}
            point["ci"] = ends
        if pd.notna(row["p_nondominated"]):
            point["p_nondominated"] = row["p_nondominated"]
        return point

    def _baseline(self, at: int) -> dict[str, Any]:
        """A baseline or the current point: `metrics` and `ci` by key, without what was not measured."""
        row, point = self.table.iloc[at].to_dict(), self.points[at]
        means, ends = self._means(row)
        numbers = sorted({int(of.partition("@")[0]) for of in source_ids(point)})
        return {
            "name": point.id,
            **({"trials": numbers} if numbers else {}),
            "replicates": row["replicates"],
            "metrics": means,
            "ci": ends,
            "on_front": row["on_front"],
            "p_nondominated": _known(row["p_nondominated"]),
        }

    def _means(self, row: Mapping[Any, Any]) -> tuple[dict[str, float], dict[str, list[float]]]:
        """Means over replicates by key, and the ends of their intervals."""
        means = {key: row[f"{key}.mean"] for key in replicate_keys(self.objectives) if pd.notna(row[f"{key}.mean"])}
        return means, {key: [row[f"{key}.low"], row[f"{key}.high"]] for key in means if pd.notna(row[f"{key}.low"])}

    def write(self, folder: Path) -> Path:
        """Writes the table as `frontier.parquet` into a folder, whole or not at all."""
        target = folder / "frontier.parquet"
        with atomic_path(target) as temporary:
            self.table.to_parquet(temporary, index=False)
        return target


def frontier(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float] | None = None,
    seed: int = 0,
    baselines: Sequence[Point] = (),
) -> Frontier:
    """The frontier of trial records.

    Args:
        reference: hypervolume reference by objective name; defaults fill what it leaves out.
        seed: of the run, for what is simulated, as behind `p_nondominated`.
        baselines: points that are no trials of the search, with their replicates, the current point among them. They
            are compared like every confirmed point; one that lacks an objective is not.

    Raises:
        UserError: the reference names what is no objective, or an objective has neither reference nor default.
    """
    at = resolve_reference(objectives, reference)
    every = points_of_run(records, baselines, objectives)
    # Where one point is the best single-task model of every task, these together are that point, and not another one.
    same = {each.id: source_ids(each)[0] for each in every if len(source_ids(each)) == 1}
    apart = [point for point in every if point.id not in same]
    compared = candidates(apart)
    split = rows_of(apart)
    values = estimates(compared, objectives, split)
    table = tabulate(every, objectives)
    places = {point.id: place for point, place in zip(compared, ranks(values, objectives), strict=True)}
    keys = [same.get(point.id, point.id) for point in every]
    place = pd.Series([places.get(one) for one in keys], dtype=float)
    table["rank"] = place.where(place != UNRANKED).astype("Int64")
    table["on_front"] = (table["rank"] == 0).fillna(False).astype(bool)
    against = _reference(every)
    known, volume = statistics(apart, objectives, at, split, seed, same.get(against or "", against))
    return Frontier(
        table=table.join(known.reindex(keys).set_axis(table.index)),
        points=tuple(every),
        objectives=tuple(objectives),
        split=split,
        reference=at,
        hypervolume=hypervolume(values[[point.role == "trial" for point in compared]], objectives, at),
        volume=volume,
        against=against,
    )


def _reference(points: Sequence[Point]) -> str | None:
    """Id of the current point, else of the best single-task models; None where neither has replicates."""
    known = [point for point in points if confirmed(point)]
    single = [point.id for point in known if point.kind == BASELINE]
    return next(iter([*(point.id for point in known if point.role == "current"), *single]), None)


def front_volume(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float] | None = None
) -> float:
    """The hypervolume of `frontier`, without what is simulated: no posterior, no intervals."""
    values = estimates(candidates(points(records, objectives)), objectives)
    return hypervolume(values, objectives, resolve_reference(objectives, reference))


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value
