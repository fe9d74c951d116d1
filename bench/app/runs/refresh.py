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
from bench.core.objectives import outcomes_of
from bench.core.seeds import derive
from bench.core.system.atomic import scratch_folder
from bench.core.system.machine import versions
from bench.core.system.progress import Progress
from bench.data import Store
from bench.data.preparation import passing_store
from bench.deciding.aims import aims_of
from bench.models.training.warm import before_of
from bench.serve.backtest.chain import Chain, store_of_new_rows
from bench.serve.backtest.cuts import Cut, Times, card_of, times_of
from bench.serve.judgements import Judgement, judge, sentence, served
from bench.serve.package import Package
from bench.serve.retrain import Predictor, TrainedSeed, config_of, finished
from bench.serve.served_model import ModelPart

RESAMPLES, CONFIDENCE = 500, 0.9
UNTIL = "until"
"""In a package's provenance: the first time that it was not trained on."""


@dataclass(frozen=True)
class Refreshed:
    """The new version, judged.

    Attributes:
        found: its outcomes and gains over the champion's, on rows that neither has seen.
        told: how it was trained.
        worse: outcomes that it surely loses more of than the policy's guard allows.
    """

    package: Package
    found: list[Judgement]
    cut: Cut
    told: str
    worse: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Who is better, on which rows."""
        return (
            f"On {self.cut.rows:,} rows of {self.cut}: "
            f"{sentence(self.found, 'the new version', 'the champion')}"
        )


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
    orders = deployment.parts
    alone = len(orders) == 1 and len(champion.manifest.spec.parts) == 1
    warm = (
        alone
        and not late
        and not champion.manifest.spec.trees
        and len(champion.manifest.spec.members) == 1
    )
    seed = derive(deployment.seed, "refresh", str(cut.first))
    chains = [
        Chain(each, deployment.result.objectives, derive(seed, at), threads)
        for at, each in enumerate(orders)
    ]
    tasks = [task.name for task in part.tasks]
    with scratch_folder(part.folder / "refresh") as work, ExitStack() as stores:
        if warm:
            since = card_of(times, cut, known_before=until)
            before = before_of(champion.folder)
            made = stores.enter_context(passing_store(since, part.run.home, raw, progress, before))
            store = store_of_new_rows(made.with_tasks(tasks))
            member = [chains[0].continued(store, champion.folder, work / "state", progress)]
            told = (
                f"it went on from the champion, by one pass over {len(store.split('train')):,} "
                "new rows"
            )
        else:
            made = stores.enter_context(
                passing_store(card_of(times, cut), part.run.home, raw, progress)
            )
            store = made.with_tasks(tasks)
            _check_labels(part.key, store, late, span)
            member = [chain.from_scratch(store, progress) for chain in chains]
            told = f"it was trained from scratch on {len(store.split('train')):,} rows"
            told += "" if late else ", as all but single networks are"
        parts = [
            ModelPart(config=config_of(each, store.schema), shares=each.shares) for each in orders
        ]
        names = [each.name for each in deployment.result.objectives]
        predictor = Predictor(store, parts, outcomes=outcomes_of([*names, *deployment.outcomes]))
        held, test = (
            predictor.metrics(split, predictor.predictions(split, [member]))
            for split in ("valid", "test")
        )
        trained = TrainedSeed(seed, member, (), held, test)
        about = {
            "data": {"key": store.key, "fingerprint": store.fingerprint},
            "tasks": tasks,
            "seed": seed,
        }
        about |= {
            "parts": [each.model_dump() for each in parts],
            "threads": threads,
            "versions": versions(),
        }
        outcomes = tuple(deployment.outcomes)
        spec, score = deployment.policy.retrain, deployment.score
        retrained = finished(predictor, [trained], spec, score, outcomes, (), about)
        more = {UNTIL: cut.first, "refreshed": champion.digest}
        package = packaged(
            deployment, store, retrained, {}, part.folder / f"{PACKAGE}-new", onnx, more
        )
        scorers = [each.scorer("eager") for each in (package, champion)]
        judged = judge(card_of(times, cut), part.run.home, raw, "test", scorers, progress)
    judgements = served(judged, package.schema, outcomes, RESAMPLES, CONFIDENCE, seed, ())
    return Refreshed(package, judgements, cut, told, tuple(_worse(judgements, deployment)))


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
    names = [each.metric for each in judgements]
    aim = aims_of(deployment.policy, names, deployment.result.decision.serving.rates, today=True)[0]
    for each, share, least in zip(judgements, aim.shares, aim.least, strict=True):
        if (
            share and each.gain is not None and each.gain.high < share - 1
        ) or each.estimate.high < least:
            yield each.metric


def _until(provenance: Mapping[str, Any], times: Times) -> float | str:
    """The first time that a package was not trained on: that of test, where it was not
    refreshed.
    """
    until: float | str | None = provenance.get(UNTIL)
    if until is not None and until in times.values:
        return until
    first_of_test = int(times.of_test[times.of_test >= 0].min())
    return times.values[first_of_test]
