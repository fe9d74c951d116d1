"""Tomorrow's version of a deployed model: trained on the days since, and judged against today's on
the newest ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.app.runs.deploy import packaged
from bench.app.runs.deployment import Deployment
from bench.app.runs.folder import PACKAGE
from bench.core.errors import UserError
from bench.core.objectives import names_of, outcomes_of
from bench.core.seeds import derive
from bench.core.system.atomic import scratch_folder
from bench.core.system.machine import versions
from bench.core.system.progress import Progress
from bench.data import Card, Store
from bench.data.preparation import passing_store
from bench.data.two_passes import Before
from bench.deciding.aims import aims_of
from bench.models.training.warm import before_of
from bench.serve.backtest.chain import Chain, store_of_new_rows
from bench.serve.backtest.cuts import Cut, Times, card_of, times_of
from bench.serve.judgements import Judgement, judge, sentence, served
from bench.serve.package import Package
from bench.serve.retrain import Predictor, Retrained, TrainedSeed, config_of, finished
from bench.serve.served_model import Member, ModelPart

RESAMPLES = 500
CONFIDENCE = 0.9
UNTIL = "until"
"""In a package's provenance: the first time that it was not trained on."""


@dataclass(frozen=True)
class Refreshed:
    """The new version, judged.

    Attributes:
        judgements: its outcomes and gains over the champion's, on rows that neither has seen.
        training: how it was trained, in words.
        worse: outcomes that it surely loses more of than the policy's guard allows.
    """

    package: Package
    judgements: list[Judgement]
    cut: Cut
    training: str
    worse: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Who is better, on which rows."""
        words = sentence(self.judgements, "the new version", "the champion")
        return f"On {self.cut.rows:,} rows of {self.cut}: {words}"


def refresh(
    deployment: Deployment,
    champion: Package,
    raw: Path | None,
    span: str,
    threads: int,
    progress: Progress,
    onnx: bool = True,
) -> Refreshed:
    """Trains on all days but the newest `span`, by which both versions are judged.

    One network goes on from the champion, by one pass over what is new. Trees, blends, several
    models, and tasks whose labels come late, are trained from scratch: what the champion had no
    labels of is not only what is new.

    Raises:
        UserError: no time on the card, no new days, or none with labels to judge by.
    """
    part = deployment.part
    late = [task.name for task in part.tasks if task.late]
    times = times_of(part.card, part.run.home, raw, None, progress)
    cut = times.cuts(None, span)[-1]
    until = _until(champion.manifest.provenance, times)
    if times.values.index(cut.first) <= times.values.index(until):
        raise UserError(
            f"{part.key}: expected days after {until} to train on, and {span} to judge by, found "
            "none"
        )
    seed = derive(deployment.seed, "refresh", str(cut.first))
    with scratch_folder(part.folder / "refresh") as work, ExitStack() as stores:
        trainer = _Trainer(deployment, raw, seed, threads, progress)
        if not late and _is_one_network(deployment, champion):
            since = card_of(times, cut, known_before=until)
            store = store_of_new_rows(trainer.store(stores, since, before_of(champion.folder)))
            trained = trainer.warm(store, champion, work / "state")
            training = f"it went on from the champion, by one pass over {trained.rows:,} new rows"
        else:
            store = trainer.store(stores, card_of(times, cut))
            _check_labels(part.key, store, late, span)
            trained = trainer.anew(store)
            training = f"it was trained from scratch on {trained.rows:,} rows"
            if not late:
                training += ", as all but single networks are"
        retrained = _retrained(deployment, trained, seed, threads)
        folder = part.folder / f"{PACKAGE}-new"
        origin = {UNTIL: cut.first, "refreshed": champion.digest}
        package = packaged(deployment, trained.store, retrained, {}, folder, onnx, origin)
        scorers = [version.scorer("eager") for version in (package, champion)]
        judged = judge(card_of(times, cut), part.run.home, raw, "test", scorers, progress)
    outcomes = tuple(deployment.outcomes)
    judgements = served(judged, package.schema, outcomes, RESAMPLES, CONFIDENCE, seed)
    return Refreshed(package, judgements, cut, training, tuple(_worse(judgements, deployment)))


def _is_one_network(deployment: Deployment, champion: Package) -> bool:
    spec = champion.manifest.spec
    parts = (len(deployment.parts), len(spec.parts), len(spec.members))
    return parts == (1, 1, 1) and not spec.trees


@dataclass(frozen=True)
class _Trained:
    """The new version's parts, and the data that trained them."""

    store: Store
    member: Member

    @property
    def rows(self) -> int:
        return len(self.store.split("train"))


@dataclass(frozen=True)
class _Trainer:
    """Prepares data, and trains on them."""

    deployment: Deployment
    raw: Path | None
    seed: int
    threads: int
    progress: Progress

    def warm(self, store: Store, champion: Package, state: Path) -> _Trained:
        """One pass over what is new."""
        part = self._chains[0].continued(store, champion.folder, state, self.progress)
        return _Trained(store, [part])

    def anew(self, store: Store) -> _Trained:
        """From scratch."""
        return _Trained(store, [chain.from_scratch(store, self.progress) for chain in self._chains])

    def store(self, stores: ExitStack, card: Card, before: Before | None = None) -> Store:
        """The data of a card, which last as long as `stores`."""
        part = self.deployment.part
        store = passing_store(card, part.run.home, self.raw, self.progress, before)
        return stores.enter_context(store).with_tasks(part.task_names)

    @property
    def _chains(self) -> list[Chain]:
        objectives = self.deployment.result.objectives
        chains = []
        for number, order in enumerate(self.deployment.parts):
            chains.append(Chain(order, objectives, derive(self.seed, number), self.threads))
        return chains


def _retrained(deployment: Deployment, trained: _Trained, seed: int, threads: int) -> Retrained:
    """The model with its metrics, calibration and provenance."""
    store = trained.store
    parts = []
    for order in deployment.parts:
        parts.append(ModelPart(config=config_of(order, store.schema), shares=order.shares))
    outcomes = tuple(deployment.outcomes)
    measured = outcomes_of([*names_of(deployment.result.objectives), *outcomes])
    predictor = Predictor(store, parts, outcomes=measured)
    valid = predictor.metrics("valid", predictor.predictions("valid", [trained.member]))
    test = predictor.metrics("test", predictor.predictions("test", [trained.member]))
    provenance = {
        "data": {"key": store.key, "fingerprint": store.fingerprint},
        "tasks": list(deployment.part.task_names),
        "seed": seed,
        "parts": [part.model_dump() for part in parts],
        "threads": threads,
        "versions": versions(),
    }
    seeds = [TrainedSeed(seed, trained.member, (), valid, test)]
    spec = deployment.policy.retrain
    score = deployment.score
    return finished(predictor, seeds, spec, score, outcomes, (), provenance)


def _check_labels(key: str, store: Store, late: Sequence[str], span: str) -> None:
    for name in late:
        facts = store.manifest["splits"]["test"]["tasks"][name]
        if not facts.get("positives", facts.get("observed")):
            raise UserError(
                f"{key}: --judge {span}: expected labels of '{name}' to judge by, found none that "
                "is known by the card's as_of; move as_of on, or judge by a longer span"
            )


def _worse(judgements: Sequence[Judgement], deployment: Deployment) -> Iterator[str]:
    """Outcomes that are surely below what the policy asks for, where the champion is what is served
    today.
    """
    names = [judgement.metric for judgement in judgements]
    rates = deployment.result.decision.serving.rates
    aim = aims_of(deployment.policy, names, rates, today=True)[0]
    for judgement, share, floor in zip(judgements, aim.shares, aim.minimums, strict=True):
        gain = judgement.gain
        loses_share = share and gain is not None and gain.high < share - 1
        if loses_share or judgement.estimate.high < floor:
            yield judgement.metric


def _until(provenance: Mapping[str, Any], times: Times) -> float | str:
    """The first time that a package was not trained on: that of test, where it was not
    refreshed.
    """
    until: float | str | None = provenance.get(UNTIL)
    if until is not None and until in times.values:
        return until
    first_of_test = int(times.of_test[times.of_test >= 0].min())
    return times.values[first_of_test]
