"""Runs a back-test cut by cut; what is finished is kept, and not done again.

It is prospective: search and pick have seen nothing of test. All points are trained on what lies
before a cut, as `seesaw deploy` would then, and judged on the rows from there to the next cut.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.core import plugins
from bench.core.arrays import Floats, Singles
from bench.core.errors import UserError
from bench.core.exposure import exposure_of
from bench.core.objectives import Objective, of_items
from bench.core.plain import read_json
from bench.core.records import Point, SplitName
from bench.core.schema import Task
from bench.core.system.atomic import rename, scratch_folder, write_text
from bench.core.system.progress import Progress, Silent
from bench.data import Store
from bench.data.preparation import Before, passing_store
from bench.data.store import StoredSplit
from bench.deciding.aims import PolicyAim
from bench.ledger.fusion import Fusion, fused, logged
from bench.ledger.served.climb import TRIES, Goal, climb
from bench.measure.outcomes import Measure
from bench.measure.spaces import Labelled, joint_labels
from bench.models.training.warm import before_of
from bench.serve.backtest.chain import Chain, TestedPoint, chains_of, going_on
from bench.serve.backtest.cuts import Cut, Times, card_of
from bench.serve.retrain import PartOrder

How = Literal["anew", "warm"]
FROZEN = "frozen"
"""Trained at the first cut, and never again."""
LEAST_POSITIVES = 20
"""Positives of a task that a cut must have for its outcomes to count."""
PICKED, CHOSEN = "picked", "chosen"
"""Weights: those of the run, or those that are best on the rows before a cut that are held out."""


@dataclass(frozen=True)
class RankedPoint:
    """A point to test, and the weights by which it ranks; None for a score of the log, `column`."""

    point: Point
    parts: tuple[PartOrder, ...]
    fusion: Fusion | None
    column: str | None = None


@dataclass(frozen=True)
class BacktestPlan:
    """A back-test to do.

    Attributes:
        ranked: by name, `pick` and `current` among them: what all are compared with is `against`.
        rates: (T,), mean labels.
        window: how much of the past is trained on, such as `14d`; all where it is empty.
    """

    times: Times
    cuts: tuple[Cut, ...]
    ranked: Mapping[str, RankedPoint]
    against: str
    how: How
    window: str
    tasks: tuple[Task, ...]
    outcomes: tuple[Objective, ...]
    objectives: tuple[Objective, ...]
    aim: PolicyAim
    rates: Sequence[float]
    seed: int
    threads: int = 1

    @property
    def digest(self) -> str:
        """Of all that decides its results."""
        names = [task.name for task in self.tasks], [each.name for each in self.outcomes]
        asked = (
            self.times.card.model_dump_json(by_alias=True),
            self.cuts,
            self.against,
            self.how,
            self.window,
            names,
        )
        return hashlib.sha256(
            repr((*asked, self.aim, self.seed, self.ranked)).encode()
        ).hexdigest()[:12]

    @cached_property
    def trained(self) -> tuple[list[Chain], dict[str, TestedPoint]]:
        """The distinct parts of its points, and how each point is made of them."""
        parts = {name: each.parts for name, each in self.ranked.items() if each.fusion is not None}
        return chains_of(parts, self.objectives, self.seed, self.threads)


@dataclass(frozen=True)
class PointOutcomes:
    """Outcomes (M,) of a point at a cut, by training (`anew`, `warm` or `frozen`) and weights
    (`picked`, `chosen`).

    An outcome is None where the cut has fewer than `LEAST_POSITIVES` positives of its task.

    Attributes:
        fit: by task how far the mean prediction is above the mean label, as a fraction; empty of a
            logged score.
    """

    cut: int
    point: str
    training: str
    weights: str
    outcomes: dict[str, float | None]
    fit: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Backtest:
    """What was found: K cuts and their rows of the ledger."""

    cuts: tuple[Cut, ...]
    judged: tuple[PointOutcomes, ...]
    against: str
    how: str
    outcomes: tuple[str, ...]

    def values(self, point: str, training: str, weights: str) -> Floats:
        """(K, M), NaN where nothing is known."""
        table = self._table("outcomes", point, training, weights)
        return table.reindex(columns=list(self.outcomes)).to_numpy(np.float64)

    def fits(self, point: str, training: str) -> dict[str, Floats]:
        """By task how far predictions are above labels at each cut (K,), NaN where nothing is
        known.
        """
        table = self._table("fit", point, training, PICKED)
        return {str(task): of.to_numpy(np.float64) for task, of in table.items()}

    def _table(self, of: str, *key: str) -> pd.DataFrame:
        own = {
            each.cut: getattr(each, of)
            for each in self.judged
            if (each.point, each.training, each.weights) == key
        }
        return pd.DataFrame.from_dict(own, orient="index").reindex(range(len(self.cuts)))


Spread = Callable[[Callable[["_Cut"], None], Sequence["_Cut"]], Iterator[None]]
"""Does a work on all items at once, and yields as often as one is done."""


def in_processes(
    workers: int, work: Callable[[_Cut], None], items: Sequence[_Cut]
) -> Iterator[None]:
    """At most `workers` at once, each in a process of this machine."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(items)), spawn, plugins.carried, plugins.files()
    ) as pool:
        for done in as_completed([pool.submit(work, each) for each in items]):
            yield done.result()


def run(
    plan: BacktestPlan,
    folder: Path,
    home: Path,
    raw: Path | None,
    progress: Progress,
    spread: Spread | None = None,
) -> Backtest:
    """Trains and judges what is missing.

    Args:
        folder: keeps what is finished, in a folder of this plan.
        spread: does all cuts after the first; None does one after the other, as a warm chain must.

    Raises:
        UserError: the data do not fit, or the disk is full.
    """
    own = folder / plan.digest
    own.mkdir(parents=True, exist_ok=True)
    cuts = [_Cut(plan, at, own, home, raw) for at in range(len(plan.cuts))]
    missing = [cut for cut in cuts if not cut.file.is_file()]
    with progress.task("back-test", len(cuts), "cuts") as advance:
        advance(len(cuts) - len(missing))
        alone = missing if spread is None else [cut for cut in missing if cut.at == 0]
        for cut in alone:
            replace(cut, progress=progress).finish()
            advance(1)
        rest = missing[len(alone) :]
        for _ in spread(_Cut.finish, rest) if spread is not None and rest else ():
            advance(1)
    outcomes = tuple(PointOutcomes(**each) for cut in cuts for each in read_json(cut.file))
    return Backtest(
        plan.cuts, outcomes, plan.against, plan.how, tuple(each.name for each in plan.outcomes)
    )


@dataclass(frozen=True)
class _Cut:
    """The work at one cut."""

    plan: BacktestPlan
    at: int
    folder: Path
    home: Path
    raw: Path | None
    progress: Progress = field(default_factory=Silent)

    @property
    def file(self) -> Path:
        """What was found, once it is finished."""
        return self.folder / f"{self.at}.json"

    def finish(self) -> None:
        """Trains all chains, judges all points, and keeps what was found."""
        if not self.folder.is_dir():
            where = f"expected {self.folder} on a file system that all machines share"
            raise UserError(f"{where}, found no such folder here")
        with scratch_folder(self.folder / f"work-{self.at}") as work, ExitStack() as stores:
            said, store = self._predictions(work, stores)
            if self.at == 0:  # for the models that stay as they are now
                np.save(work / "frozen.npy", np.stack(said["test"]))
                (work / "frozen.npy").replace(self.folder / "frozen.npy")
            write_text(
                self.file, json.dumps([vars(each) for each in self._of(said, store)], indent=1)
            )

    def _store(self, stores: ExitStack, before: Before | None = None, **options: Any) -> Store:
        """The data of the cut. That of the first has all later rows of test, too, for the models
        that stay as then.
        """
        plan, cut = self.plan, self.plan.cuts[self.at]
        if self.at == 0:
            cut = replace(cut, last=plan.cuts[-1].last)
        card = card_of(plan.times, cut, **options)
        store = stores.enter_context(
            passing_store(card, self.home, self.raw, self.progress, before)
        )
        return store.with_tasks([task.name for task in plan.tasks])

    def _predictions(
        self, work: Path, stores: ExitStack
    ) -> tuple[dict[SplitName, list[Singles]], Store]:
        """By split the joint predictions of each chain, and the store whose rows they are of."""
        plan, at, (chains, _) = self.plan, self.at, self.plan.trained
        kept = {
            number for number, chain in enumerate(chains) if plan.how == "warm" and not chain.trees
        }
        on = kept if at > 0 else set()
        anew = later = None
        if len(on) < len(chains):
            since = plan.times.before(plan.cuts[at], plan.window) if plan.window else None
            anew = self._store(stores, since=since)
        if on:
            before = before_of(self.folder / f"{min(on)}.{at - 1}")
            later = going_on(self._store(stores, before, known_before=plan.cuts[at - 1].first))
        said: dict[SplitName, list[Singles]] = {"valid": [], "test": []}
        for number, chain in enumerate(chains):
            keep = work / f"{number}" if number in kept else None
            if later is not None and keep is not None:
                store, trained = (
                    later,
                    chain.on(later, self.folder / f"{number}.{at - 1}", keep, self.progress),
                )
            else:
                assert anew is not None
                store, trained = anew, chain.anew(anew, self.progress, keep)
            for split in said:
                said[split].append(chain.joint(store, trained, split))
        if anew is not None and later is not None:
            said["valid"] = []  # of two stores, whose held-out rows differ
        for number in kept:  # what the next cut goes on from
            shutil.rmtree(
                self.folder / f"{number}.{at}", ignore_errors=True
            )  # of an earlier, interrupted cut
            rename(work / f"{number}", self.folder / f"{number}.{at}")
            shutil.rmtree(self.folder / f"{number}.{at - 2}", ignore_errors=True)
        return said, store

    def _of(self, said: Mapping[SplitName, Sequence[Singles]], store: Store) -> list[PointOutcomes]:
        plan, test = self.plan, store.split("test")
        joint: dict[str, Sequence[Singles]] = {plan.how: said["test"]}
        inside = plan.times.cut_of(plan.cuts) == self.at
        if self.at == 0:
            test = test.taken(np.flatnonzero(inside))
            joint = {plan.how: [each[inside] for each in said["test"]]}
        else:
            joint[FROZEN] = np.load(self.folder / "frozen.npy")[:, inside]
        rows = _Rows(test, store, plan)
        chosen = self._chosen(said["valid"], store) if said["valid"] else {}
        outcomes_of = []
        for name, each in plan.ranked.items():
            if each.fusion is None:
                outcomes_of.append(
                    PointOutcomes(self.at, name, plan.how, PICKED, rows.outcomes(rows.score(each)))
                )
                continue
            for training, own in joint.items():
                predicted, weights = rows.predicted(name, own), {PICKED: each.fusion}
                if name in chosen and training != FROZEN:
                    weights[CHOSEN] = chosen[name]
                for which, fusion in weights.items():
                    outcomes = rows.outcomes(rows.score(replace(each, fusion=fusion), predicted))
                    outcomes_of.append(
                        PointOutcomes(self.at, name, training, which, outcomes, rows.fit(predicted))
                    )
        return outcomes_of

    def _chosen(self, joint: Sequence[Singles], store: Store) -> dict[str, Fusion]:
        """By point the weights that are best on what is held out, climbed from those that it
        has.
        """
        plan = self.plan
        if len(plan.tasks) < 2:
            return {}
        rows = _Rows(store.split("valid"), store, plan)
        chance = rows.measure.random()[0] * [not of_items(name) for name in rows.measure.names]

        said = {
            name: rows.predicted(name, joint)
            for name, each in plan.ranked.items()
            if each.fusion is not None
        }

        def outcomes(name: str, fusion: Fusion | None) -> Floats:
            score = rows.score(replace(plan.ranked[name], fusion=fusion), said.get(name))
            return np.asarray(rows.measure.values(score)[0])

        goal = Goal(plan.aim, outcomes(plan.against, plan.ranked[plan.against].fusion), chance)
        return {
            name: climb(partial(outcomes, name), [each.fusion], goal, TRIES)[1]
            for name, each in plan.ranked.items()
            if each.fusion is not None
        }


class _Rows:
    """Rows of a split that judge, each counted by its weight and its exposure.

    Attributes:
        few: tasks with fewer than `LEAST_POSITIVES` positives; effective ones, where rows count by
            how they were shown.
    """

    def __init__(self, rows: StoredSplit, store: Store, plan: BacktestPlan) -> None:
        self.rows, self.store, self.plan = rows, store, plan
        self.labels = joint_labels(np.asarray(rows.labels_of(slice(None))), store.schema)
        self.weights = (
            None
            if rows.weights is None
            else np.asarray(rows.weights).astype(np.float64).prod(axis=1)
        )
        counts, many = self.weights, (self.labels > 0).sum(axis=0).astype(np.float64)
        for kind, column in store.exposure.items():
            exposure = exposure_of(kind, column, self._beside(column))
            counts, many = (
                exposure.weights * (1 if counts is None else counts),
                exposure.positives(self.labels),
            )
        self.few = {
            task.name
            for task, positives in zip(plan.tasks, many, strict=True)
            if positives < LEAST_POSITIVES
        }
        items = {} if rows.items is None else dict(zip(store.items, rows.items.T, strict=True))
        labelled = Labelled(self.labels, np.asarray(rows.group), counts)
        self.measure = Measure(
            plan.tasks, [each.name for each in plan.outcomes], labelled, items=items
        )

    def predicted(self, name: str, joint: Sequence[Singles]) -> Singles:
        """Joint predictions (N, T) of a point, of those of all chains."""
        return self.plan.trained[1][name].joint(joint, self.store.schema)

    def score(self, of: RankedPoint, predicted: Singles | None = None) -> Floats:
        """(N,) by which a point ranks; a score of the log without its predictions."""
        if of.fusion is not None and predicted is not None:
            return fused(of.fusion.kind, predicted, of.fusion.weights, self.plan.rates)
        return logged(self._beside(of.column))

    def outcomes(self, score: Floats) -> dict[str, float | None]:
        """Of a ranking by a score; None of a task with few positives."""
        values = zip(self.measure.names, self.measure.values(score)[0].tolist(), strict=True)
        return {name: None if name.partition(".")[0] in self.few else of for name, of in values}

    def fit(self, predicted: Singles) -> dict[str, float | None]:
        """By task how far predictions are above labels on average, as a fraction of these."""
        fits = dict[str, float | None]()
        for task, said, labels in zip(self.plan.tasks, predicted.T, self.labels.T, strict=True):
            fits[task.name] = None
            if task.name not in self.few:
                known = ~np.isnan(labels)
                by = None if self.weights is None else self.weights[known]
                predicted_mean, mean = (
                    np.average(each[known], weights=by) for each in (said, labels)
                )
                fits[task.name] = float(predicted_mean / mean - 1)
        return fits

    def _beside(self, column: str | None) -> Floats:
        assert self.rows.logged is not None
        assert column is not None
        return np.asarray(self.rows.logged[:, self.store.logged.index(column)])
