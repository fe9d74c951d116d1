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
from typing import Literal

import numpy as np

from bench.core import plugins
from bench.core.arrays import Floats, Singles
from bench.core.errors import UserError
from bench.core.exposure import exposure_of
from bench.core.objectives import Objective, of_items
from bench.core.plain import read_json
from bench.core.records import Point
from bench.core.schema import Task
from bench.core.system.atomic import rename, scratch_folder, write_text
from bench.core.system.progress import Progress, Silent
from bench.data import Card, Store
from bench.data.preparation import passing_store
from bench.data.store import StoredSplit
from bench.data.two_passes import Before
from bench.deciding.aims import PolicyAim
from bench.ledger.fusion import Fusion, fused, logged
from bench.ledger.served.climb import TRIES, Goal, climb
from bench.measure.outcomes import Measure
from bench.measure.spaces import Labelled, joint_labels
from bench.models.training.warm import before_of
from bench.serve.backtest.chain import Chain, TestedPoint, chains_of, store_of_new_rows
from bench.serve.backtest.cuts import Cut, Times, card_of
from bench.serve.backtest.daily_gains import (
    CHOSEN,
    FROZEN,
    LEAST_POSITIVES,
    PICKED,
    Backtest,
    PointOutcomes,
    Values,
)
from bench.serve.backtest.trainer_at_cut import predictions_at_cut
from bench.serve.retrain import PartOrder

How = Literal["anew", "warm"]


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
        deciding = (
            self.times.card.model_dump_json(by_alias=True),
            self.cuts,
            self.against,
            self.how,
            self.window,
            (self.names_of_tasks, self.names_of_outcomes),
            self.aim,
            self.seed,
            self.ranked,
        )
        return hashlib.sha256(repr(deciding).encode()).hexdigest()[:12]

    @property
    def names_of_tasks(self) -> list[str]:
        """In the order of their columns."""
        return [task.name for task in self.tasks]

    @property
    def names_of_outcomes(self) -> list[str]:
        """In the order of their columns."""
        return [outcome.name for outcome in self.outcomes]

    @cached_property
    def trained(self) -> tuple[list[Chain], dict[str, TestedPoint]]:
        """The distinct parts of its points, and how each point is made of them."""
        parts = {name: self.ranked[name].parts for name in self.fusions}
        return chains_of(parts, self.objectives, self.seed, self.threads)

    @property
    def fusions(self) -> dict[str, Fusion]:
        """By name the weights of its points, without a score of the log."""
        fusions = {}
        for name, point in self.ranked.items():
            if point.fusion is not None:
                fusions[name] = point.fusion
        return fusions


Spread = Callable[[Callable[["_CutWork"], None], Sequence["_CutWork"]], Iterator[None]]
"""Does a work on all items at once, and yields as often as one is done."""


def in_processes(
    workers: int, work: Callable[[_CutWork], None], cuts: Sequence[_CutWork]
) -> Iterator[None]:
    """At most `workers` at once, each in a process of this machine."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(cuts)), spawn, plugins.carried, plugins.files()
    ) as pool:
        for future in as_completed([pool.submit(work, cut) for cut in cuts]):
            yield future.result()


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
    folder = folder / plan.digest
    folder.mkdir(parents=True, exist_ok=True)
    cuts = [_CutWork(plan, number, folder, home, raw) for number in range(len(plan.cuts))]
    missing = [cut for cut in cuts if not cut.file.is_file()]
    one_by_one = missing
    if spread is not None:
        one_by_one = [cut for cut in missing if cut.number == 0]
    together = missing[len(one_by_one) :]
    with progress.task("back-test", len(cuts), "cuts") as advance:
        advance(len(cuts) - len(missing))
        for cut in one_by_one:
            replace(cut, progress=progress).finish()
            advance(1)
        if spread is not None and together:
            for _ in spread(_CutWork.finish, together):
                advance(1)

    judged = []
    for cut in cuts:
        judged += [PointOutcomes(**values) for values in read_json(cut.file)]
    outcomes = tuple(plan.names_of_outcomes)
    return Backtest(plan.cuts, tuple(judged), plan.against, plan.how, outcomes)


@dataclass(frozen=True)
class _Predictions:
    """Joint predictions (N, T) of each chain, and the store whose rows they are of.

    Attributes:
        valid: empty where chains were trained on two stores, whose held-out rows differ.
    """

    store: Store
    valid: list[Singles]
    test: list[Singles]


@dataclass(frozen=True)
class _CutWork:
    """The work at one cut."""

    plan: BacktestPlan
    number: int
    folder: Path
    home: Path
    raw: Path | None
    progress: Progress = field(default_factory=Silent)

    @property
    def file(self) -> Path:
        """The outcomes of its points, once it is finished."""
        return self.folder / f"{self.number}.json"

    def finish(self) -> None:
        """Trains all chains, judges all points, and keeps their outcomes."""
        if not self.folder.is_dir():
            raise UserError(
                f"expected {self.folder} on a file system that all machines share, found no such "
                "folder here"
            )
        with scratch_folder(self.folder / f"work-{self.number}") as work, ExitStack() as stores:
            predictions = self._predictions(work, stores)
            if self.number == 0:  # for the models that stay as they are now
                np.save(work / "frozen.npy", np.stack(predictions.test))
                (work / "frozen.npy").replace(self.folder / "frozen.npy")
            judged = list(map(vars, self._judged(predictions)))
            write_text(self.file, json.dumps(judged, indent=1))

    def _card(self, **options: object) -> Card:
        """The card of the cut. That of the first has all later rows of test, too, for the models
        that stay as then.
        """
        plan = self.plan
        cut = plan.cuts[self.number]
        if self.number == 0:
            cut = replace(cut, last=plan.cuts[-1].last)
        return card_of(plan.times, cut, **options)

    def _store(self, stores: ExitStack, card: Card, before: Before | None = None) -> Store:
        store = stores.enter_context(
            passing_store(card, self.home, self.raw, self.progress, before)
        )
        return store.with_tasks(self.plan.names_of_tasks)

    def _predictions(self, work: Path, stores: ExitStack) -> _Predictions:
        """Trains all chains, and keeps what the next cut goes on from."""
        plan = self.plan
        chains, _ = plan.trained
        networks = [number for number, chain in enumerate(chains) if chain.goes_on]
        going_on = networks if plan.how == "warm" else []
        continued = going_on if self.number > 0 else []

        all_rows = new_rows = None
        if len(continued) < len(chains):
            since = None
            if plan.window:
                since = plan.times.before(plan.cuts[self.number], plan.window)
            card = self._card(since=since)
            all_rows = self._store(stores, card)
        if continued:
            before = before_of(self._state(continued[0], self.number - 1))
            known_before = plan.cuts[self.number - 1].first
            store = self._store(stores, self._card(known_before=known_before), before)
            new_rows = store_of_new_rows(store)

        valid, test = [], []
        for number, chain in enumerate(chains):
            if chain.order.trainer is not None:
                assert all_rows is not None
                store = all_rows
                joint = predictions_at_cut(
                    chain.order,
                    card,
                    store,
                    chain.seed,
                    chain.threads,
                    work,
                    self.home,
                    self.raw,
                    self.progress,
                )
                valid.append(joint["valid"])
                test.append(joint["test"])
                continue
            keep = work / str(number) if number in going_on else None
            if number in continued:
                assert new_rows is not None
                assert keep is not None
                store = new_rows
                state = self._state(number, self.number - 1)
                trained = chain.continued(store, state, keep, self.progress)
            else:
                assert all_rows is not None
                store = all_rows
                trained = chain.from_scratch(store, self.progress, keep)
            valid.append(chain.joint(store, trained, "valid"))
            test.append(chain.joint(store, trained, "test"))

        for number in going_on:
            state = self._state(number, self.number)
            shutil.rmtree(state, ignore_errors=True)  # of an earlier, interrupted cut
            rename(work / str(number), state)
            shutil.rmtree(self._state(number, self.number - 2), ignore_errors=True)
        if all_rows is not None and new_rows is not None:
            valid = []
        return _Predictions(store, valid, test)

    def _state(self, chain: int, cut: int) -> Path:
        """What a chain goes on from after a cut."""
        return self.folder / f"{chain}.{cut}"

    def _judged(self, predictions: _Predictions) -> list[PointOutcomes]:
        plan = self.plan
        store = predictions.store
        test = store.split("test")
        in_cut = plan.times.cut_of(plan.cuts) == self.number
        joint_by_training: dict[str, Sequence[Singles]] = {}
        if self.number == 0:
            test = test.taken(np.flatnonzero(in_cut))
            joint_by_training[plan.how] = [joint[in_cut] for joint in predictions.test]
        else:
            joint_by_training[plan.how] = predictions.test
            joint_by_training[FROZEN] = np.load(self.folder / "frozen.npy")[:, in_cut]

        rows = _JudgedRows(test, store, plan)
        chosen = self._chosen(predictions.valid, store) if predictions.valid else {}
        judged = []
        for name, point in plan.ranked.items():
            if point.fusion is None:
                outcomes = rows.outcomes(rows.logged_score(point))
                judged.append(PointOutcomes(self.number, name, plan.how, PICKED, outcomes))
                continue
            for training, joint in joint_by_training.items():
                predicted = rows.predicted(name, joint)
                misfits = rows.misfits(predicted)
                fusions = {PICKED: point.fusion}
                if name in chosen and training != FROZEN:
                    fusions[CHOSEN] = chosen[name]
                for weights, fusion in fusions.items():
                    outcomes = rows.outcomes(rows.fused_score(predicted, fusion))
                    judged.append(
                        PointOutcomes(self.number, name, training, weights, outcomes, misfits)
                    )
        return judged

    def _chosen(self, joint: Sequence[Singles], store: Store) -> dict[str, Fusion]:
        """By point the weights that are best on what is held out, climbed from those that it
        has.
        """
        plan = self.plan
        if len(plan.tasks) < 2:
            return {}
        rows = _JudgedRows(store.split("valid"), store, plan)
        is_of_labels = [not of_items(name) for name in rows.measure.names]
        chance = rows.measure.random()[0] * is_of_labels
        fusions = plan.fusions
        predicted = {name: rows.predicted(name, joint) for name in fusions}
        if plan.against in fusions:
            base = rows.values(predicted[plan.against], fusions[plan.against])
        else:
            score = rows.logged_score(plan.ranked[plan.against])
            base = np.asarray(rows.measure.values(score)[0])

        goal = Goal(plan.aim, base, chance)
        chosen = {}
        for name, fusion in fusions.items():
            measure = partial(rows.values, predicted[name])
            _, chosen[name] = climb(measure, [fusion], goal, TRIES)
        return chosen


class _JudgedRows:
    """Rows of a split that judge, each counted by its weight and its exposure.

    Attributes:
        few: tasks with fewer than `LEAST_POSITIVES` positives; effective ones, where rows count by
            how they were shown.
    """

    def __init__(self, rows: StoredSplit, store: Store, plan: BacktestPlan) -> None:
        self.rows = rows
        self.store = store
        self.plan = plan
        labels = np.asarray(rows.labels_of(slice(None)))
        self.labels = joint_labels(labels, store.schema)
        self.weights: Floats | None = None
        if rows.weights is not None:
            weights = np.asarray(rows.weights, np.float64)
            self.weights = weights.prod(axis=1)
        counts = self.weights
        positives = (self.labels > 0).sum(axis=0).astype(np.float64)
        for kind, column in store.exposure.items():
            exposure = exposure_of(kind, column, self._logged(column))
            counts = exposure.weights if counts is None else exposure.weights * counts
            positives = exposure.positives(self.labels)
        self.few = set()
        for task, positives_of_task in zip(plan.tasks, positives, strict=True):
            if positives_of_task < LEAST_POSITIVES:
                self.few.add(task.name)

        items = {}
        if rows.items is not None:
            items = dict(zip(store.items, rows.items.T, strict=True))
        labelled = Labelled(self.labels, np.asarray(rows.group), counts)
        self.measure = Measure(plan.tasks, plan.names_of_outcomes, labelled, items=items)

    def predicted(self, name: str, joint: Sequence[Singles]) -> Singles:
        """Joint predictions (N, T) of a point, of those of all chains."""
        _, tested = self.plan.trained
        return tested[name].joint(joint, self.store.schema)

    def fused_score(self, predicted: Singles, fusion: Fusion) -> Floats:
        """(N,) by which joint predictions (N, T) rank."""
        return fused(fusion.kind, predicted, fusion.weights, self.plan.rates)

    def logged_score(self, point: RankedPoint) -> Floats:
        """(N,) of a score of the log."""
        assert point.column is not None
        return logged(self._logged(point.column))

    def values(self, predicted: Singles, fusion: Fusion) -> Floats:
        """Outcomes (M,) of joint predictions (N, T) at some weights."""
        score = self.fused_score(predicted, fusion)
        return np.asarray(self.measure.values(score)[0])

    def outcomes(self, score: Floats) -> Values:
        """Of a ranking by a score; None of a task with few positives."""
        outcomes: Values = {}
        values = self.measure.values(score)[0].tolist()
        for name, value in zip(self.measure.names, values, strict=True):
            task, _, _ = name.partition(".")
            outcomes[name] = None if task in self.few else value
        return outcomes

    def misfits(self, predicted: Singles) -> Values:
        """By task how far predictions are above labels on average, as a fraction of these."""
        misfits: Values = {}
        columns = zip(self.plan.tasks, predicted.T, self.labels.T, strict=True)
        for task, predictions, labels in columns:
            if task.name in self.few:
                misfits[task.name] = None
                continue
            has_label = ~np.isnan(labels)
            weights = None if self.weights is None else self.weights[has_label]
            mean_prediction = np.average(predictions[has_label], weights=weights)
            mean_label = np.average(labels[has_label], weights=weights)
            misfits[task.name] = float(mean_prediction / mean_label - 1)
        return misfits

    def _logged(self, column: str) -> Floats:
        assert self.rows.logged is not None
        place = self.store.logged.index(column)
        return np.asarray(self.rows.logged[:, place])
