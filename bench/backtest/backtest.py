"""Runs a back-test cut by cut; what is finished is kept, and not done again.

It is prospective: search and pick have seen nothing of test. All points are trained on what lies before a cut, as
`seesaw deploy` would then, and judged on the rows from there to the next cut.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.backtest.chain import Chain, Member, chains_of, going_on
from bench.backtest.cuts import Cut, Times, card_of
from bench.core import plugins
from bench.core.arrays import Floats, Singles
from bench.core.errors import UserError
from bench.core.exposure import exposure_of
from bench.core.objectives import Objective, of_items
from bench.core.plain import read_json
from bench.core.records import Point
from bench.core.schema import Task
from bench.data import SplitName, Store, prepare
from bench.data.store import Split
from bench.frontier.aims import PolicyAim
from bench.measure.labelled import Labelled
from bench.measure.outcomes import Measure
from bench.measure.spaces import joint_labels
from bench.production.retrain import PartOrder
from bench.results.fusion import Fusion, Terms, logged
from bench.results.served.climb import TRIES, Goal, climb
from bench.system.atomic import rename, scratch_folder, write_text
from bench.system.progress import Progress, Silent
from bench.training.warm import before_of

How = Literal["anew", "warm"]
FROZEN = "frozen"
"""Trained at the first cut, and never again."""
LEAST = 20
"""Positives of a task that a cut must have for its outcomes to count."""
PICKED, CHOSEN = "picked", "chosen"
"""Weights: those of the run, or those that are best on the rows before a cut that are held out."""


@dataclass(frozen=True)
class Ranked:
    """A point to test, and the weights by which it ranks; None for a score of the log, `column`."""

    point: Point
    parts: tuple[PartOrder, ...]
    fusion: Fusion | None
    column: str | None = None


@dataclass(frozen=True)
class Plan:
    """A back-test to do.

    Attributes:
        ranked: by name, `pick` and `current` among them: what all are compared with is `against`.
        rates: mean label by task.
        window: how much of the past is trained on, such as `14d`; all where it is empty.
    """

    times: Times
    cuts: tuple[Cut, ...]
    ranked: Mapping[str, Ranked]
    against: str
    how: How
    window: str
    tasks: tuple[Task, ...]
    outcomes: tuple[Objective, ...]
    objectives: tuple[Objective, ...]
    aim: PolicyAim
    rates: Mapping[str, float]
    seed: int
    threads: int = 1

    @property
    def digest(self) -> str:
        """Of all that decides its results."""
        asked: list[Any] = [
            self.times.card.model_dump(mode="json", by_alias=True),
            [vars(cut) for cut in self.cuts],
            self.against,
        ]
        asked += [self.how, self.window, [task.name for task in self.tasks], [each.name for each in self.outcomes]]
        asked += [str(self.aim), self.seed, [f"{name} {each}" for name, each in self.ranked.items()]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Judged:
    """Outcomes (M,) of a point at a cut, by training (`anew`, `warm` or `frozen`) and weights (`picked`, `chosen`).

    An outcome is None where the cut has fewer than `LEAST` positives of its task.

    Attributes:
        fit: by task how far the mean prediction is above the mean label, as a fraction; empty of a logged score.
    """

    cut: int
    point: str
    training: str
    weights: str
    outcomes: dict[str, float | None]
    fit: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Backtest:
    """What was found so far: K cuts and their rows of the ledger."""

    cuts: tuple[Cut, ...]
    judged: tuple[Judged, ...]
    against: str
    how: str
    outcomes: tuple[str, ...]

    def values(self, point: str, training: str, weights: str) -> Floats:
        """(K, M), NaN where nothing is known."""
        found = np.full((len(self.cuts), len(self.outcomes)), np.nan)
        for each in self.judged:
            if (each.point, each.training, each.weights) == (point, training, weights):
                found[each.cut] = [np.nan if (of := each.outcomes[name]) is None else of for name in self.outcomes]
        return found

    def fits(self, point: str, training: str) -> dict[str, Floats]:
        """By task how far predictions are above labels at each cut (K,), NaN where nothing is known."""
        found = dict[str, Floats]()
        for each in self.judged:
            if (each.point, each.training, each.weights) == (point, training, PICKED):
                for task, fit in each.fit.items():
                    of_task = found.setdefault(task, np.full(len(self.cuts), np.nan))
                    of_task[each.cut] = np.nan if fit is None else fit
        return found


Spread = Callable[[Callable[["_Cut"], None], Sequence["_Cut"]], Iterator[None]]
"""Does a work on all items at once, and yields as often as one is done."""


def in_processes(workers: int) -> Spread:
    """At most `workers` at once, each in a process of this machine."""

    def spread(work: Callable[[_Cut], None], items: Sequence[_Cut]) -> Iterator[None]:
        many, spawn = min(workers, len(items)), get_context("spawn")
        with ProcessPoolExecutor(many, spawn, plugins.add, plugins.files()) as pool:
            for done in as_completed([pool.submit(work, each) for each in items]):
                yield done.result()

    return spread


def run(
    plan: Plan, folder: Path, home: Path, raw: Path | None, progress: Progress, spread: Spread | None = None
) -> Backtest:  # fmt: skip
    """Trains and judges what is missing.

    Args:
        folder: keeps what is finished, in a folder of this plan.
        spread: does all cuts after the first; None does one after the other, as a warm chain must.

    Raises:
        UserError: the data do not fit, or the disk is full.
    """
    own = folder / plan.digest
    own.mkdir(parents=True, exist_ok=True)
    points = {name: (each.point, each.parts) for name, each in plan.ranked.items() if each.fusion is not None}
    chains, members = chains_of(points, plan.objectives, plan.seed, plan.threads)
    missing = [at for at in range(len(plan.cuts)) if not (own / f"{at}.json").is_file()]
    with progress.task("back-test", len(plan.cuts), "cuts") as advance:
        advance(len(plan.cuts) - len(missing))
        alone = missing if spread is None else missing[: missing[:1] == [0]]
        for at in alone:
            _done(_Cut(plan, at, own, home, raw, chains, members, progress))
            advance(1)
        rest = [_Cut(plan, at, own, home, raw, chains, members, Silent()) for at in missing[len(alone) :]]
        for _ in spread(_done, rest) if spread is not None and rest else ():
            advance(1)
    found = [Judged(**each) for at in range(len(plan.cuts)) for each in read_json(own / f"{at}.json")]
    names = tuple(each.name for each in plan.outcomes)
    return Backtest(plan.cuts, tuple(found), plan.against, plan.how, names)


def _done(cut: _Cut) -> None:
    """Judges at a cut, and keeps what was found."""
    if not cut.folder.is_dir():
        raise UserError(f"expected {cut.folder} on a file system that all machines share, found no such folder here")
    write_text(cut.folder / f"{cut.at}.json", json.dumps([vars(each) for each in cut.judge()], indent=1))


@dataclass
class _Cut:
    """The work at one cut."""

    plan: Plan
    at: int
    folder: Path
    home: Path
    raw: Path | None
    chains: Sequence[Chain]
    members: Mapping[str, Member]
    progress: Progress
    stores: list[Store] = field(default_factory=list)
    few: set[str] = field(default_factory=set)

    def judge(self) -> list[Judged]:
        """Trains all chains, and judges all points."""
        with scratch_folder(self.folder / f"work-{self.at}") as work:
            try:
                said, store = self._predictions(work)
                if self.at == 0:  # for the models that stay as they are now
                    np.save(work / "frozen.npy", np.stack(said["test"]))
                    (work / "frozen.npy").replace(self.folder / "frozen.npy")
                return self._of(said, store)
            finally:
                for each in self.stores:
                    shutil.rmtree(each.path, ignore_errors=True)

    def _store(self, **options: Any) -> Store:
        """The data of the cut. That of the first has all later rows of test, too, for the models that stay as then."""
        plan = self.plan
        before = options.pop("before", None)
        cut = plan.cuts[self.at]
        if self.at == 0:
            cut = replace(cut, last=plan.cuts[-1].last)
        card = card_of(plan.times, cut, **options)
        store = prepare(card, self.home, self.raw, self.progress, before)
        self.stores.append(store)
        return store.with_tasks([task.name for task in plan.tasks])

    def _predictions(self, work: Path) -> tuple[dict[SplitName, list[Singles]], Store]:
        """By split the joint predictions of each chain, and the store whose rows they are of."""
        plan, at = self.plan, self.at
        warm = plan.how == "warm" and at > 0 and not all(chain.trees for chain in self.chains)
        anew, later = None, None
        if not warm or any(chain.trees for chain in self.chains):
            since = {"since": plan.times.before(plan.cuts[at], plan.window)} if plan.window else {}
            anew = self._store(**since)
        if warm:
            first = next(number for number, chain in enumerate(self.chains) if not chain.trees)
            before = before_of(self.folder / f"{first}.{at - 1}")
            later = going_on(self._store(before=before, known_before=plan.cuts[at - 1].first), work / "new")
        said: dict[SplitName, list[Singles]] = {"valid": [], "test": []}
        for number, chain in enumerate(self.chains):
            keep = work / f"{number}" if plan.how == "warm" and not chain.trees else None
            if later is not None and not chain.trees:
                assert keep is not None
                store, trained = later, chain.on(later, self.folder / f"{number}.{at - 1}", keep, self.progress)
            else:
                assert anew is not None
                store, trained = anew, chain.anew(anew, self.progress, keep)
            for split in said:
                said[split].append(chain.joint(store, trained, split))
        used = later if later is not None else anew
        assert used is not None
        if later is not None and any(chain.trees for chain in self.chains):
            said["valid"] = []  # of two stores, whose held-out rows differ
        for number in range(len(self.chains)):  # what the next cut goes on from
            if (work / f"{number}").is_dir():
                shutil.rmtree(self.folder / f"{number}.{at}", ignore_errors=True)  # of an earlier, interrupted cut
                rename(work / f"{number}", self.folder / f"{number}.{at}")
                shutil.rmtree(self.folder / f"{number}.{at - 2}", ignore_errors=True)
        return said, used

    def _of(self, said: Mapping[SplitName, Sequence[Singles]], store: Store) -> list[Judged]:
        """All points at this cut."""
        plan, test = self.plan, store.split("test")
        joint: dict[str, list[Singles]] = {plan.how: list(said["test"])}
        inside = plan.times.cut_of(plan.cuts) == self.at
        if self.at == 0:
            test = test.taken(np.flatnonzero(inside))
            joint = {plan.how: [each[inside] for each in said["test"]]}
        else:
            joint[FROZEN] = list(np.load(self.folder / "frozen.npy")[:, inside])
        measure = _measure(test, store, plan)
        labels = joint_labels(np.asarray(test.labels_of(slice(None))), store.schema)
        few = {task.name for task, many in zip(plan.tasks, (labels > 0).sum(axis=0), strict=True) if many < LEAST}
        self.few = {name for name in measure.names if name.partition(".")[0] in few}
        chosen = self._chosen(said["valid"], store) if said["valid"] else {}
        found = []
        for name, each in plan.ranked.items():
            if each.fusion is None:
                found.append(self._judged(name, plan.how, PICKED, measure, _logged(test, store, each.column)))
                continue
            for training, own in joint.items():
                predicted = self.members[name].joint(own, store.schema)
                terms = Terms(predicted, self._rates)
                weights = {PICKED: each.fusion}
                if name in chosen and training != FROZEN:
                    weights[CHOSEN] = chosen[name]
                fit = {
                    task.name: None if task.name in few else _fit(predicted[:, at], labels[:, at], test)
                    for at, task in enumerate(plan.tasks)
                }
                for which, fusion in weights.items():
                    score = terms.fused(fusion.kind, fusion.weights)
                    found.append(replace(self._judged(name, training, which, measure, score), fit=fit))
        return found

    @property
    def _rates(self) -> list[float]:
        return [self.plan.rates[task.name] for task in self.plan.tasks]

    def _judged(self, name: str, training: str, weights: str, measure: Measure, score: Floats) -> Judged:
        values = measure.values(score)[0].tolist()
        known = {name: None if name in self.few else of for name, of in zip(measure.names, values, strict=True)}
        return Judged(self.at, name, training, weights, known)

    def _chosen(self, joint: Sequence[Singles], store: Store) -> dict[str, Fusion]:
        """By point the weights that are best on what is held out, climbed from those that it has."""
        plan, held = self.plan, store.split("valid")
        if len(plan.tasks) < 2:
            return {}
        measure = _measure(held, store, plan)
        chance = measure.random()[0] * [not of_items(name) for name in measure.names]

        def outcomes_of(name: str) -> Any:
            terms = Terms(self.members[name].joint(joint, store.schema), self._rates)
            return lambda fusion: measure.values(terms.fused(fusion.kind, fusion.weights))[0]

        now = plan.ranked[plan.against]
        if now.fusion is None:
            base = measure.values(_logged(held, store, now.column))[0]
        else:
            base = outcomes_of(plan.against)(now.fusion)
        goal = Goal(plan.aim, base, chance)
        return {
            name: climb(outcomes_of(name), [each.fusion], goal, TRIES)[1]
            for name, each in plan.ranked.items()
            if each.fusion is not None
        }


def _measure(rows: Split, store: Store, plan: Plan) -> Measure:
    """The outcomes on the rows of a split, each counted by its weight and its exposure."""
    labels = joint_labels(np.asarray(rows.labels_of(slice(None))), store.schema)
    counts = _weights(rows)
    for kind, column in store.exposure.items():
        assert rows.logged is not None
        exposure = exposure_of(kind, column, np.asarray(rows.logged[:, store.logged.index(column)])).weights
        counts = exposure if counts is None else exposure * counts
    labelled = Labelled(labels, np.asarray(rows.group), counts)
    items = {} if rows.items is None else dict(zip(store.items, rows.items.T, strict=True))
    return Measure(plan.tasks, [each.name for each in plan.outcomes], labelled, items=items)


def _weights(rows: Split) -> Floats | None:
    return None if rows.weights is None else np.asarray(rows.weights).astype(np.float64).prod(axis=1)


def _fit(predicted: Singles, labels: Singles, rows: Split) -> float:
    """How far predictions (N,) are above labels (N,) on average, as a fraction of these."""
    weights, known = _weights(rows), ~np.isnan(labels)
    by = None if weights is None else weights[known]
    return float(np.average(predicted[known], weights=by) / np.average(labels[known], weights=by) - 1)


def _logged(rows: Split, store: Store, column: str | None) -> Floats:
    if rows.logged is None or column not in store.logged:
        raise UserError(f"expected a logged score '{column}', found {', '.join(store.logged) or 'none'}")
    return logged(np.asarray(rows.logged[:, store.logged.index(column)]))
