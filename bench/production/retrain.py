"""The picked configuration, trained for good: on train and validation together, on several seeds, and calibrated.

Nothing decides how long: the length is the one at which validation saw the configuration best in the search, in passes
over the data. What is held out chooses among seeds and fits calibrations; test is opened last, to be held against what
its prediction intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from bench.data import Store
from bench.data.card import Card
from bench.data.refit import refit_store
from bench.errors import UserError
from bench.frontier.retraining import Length, PredictionInterval, Retraining, verdicts
from bench.frontier.score import Score
from bench.machine import versions
from bench.objectives import Objective, outcomes_of
from bench.outcomes.measure import Measure
from bench.production.calibrating import fit_calibrations
from bench.production.calibration import Calibration
from bench.production.labelled import joint_labels
from bench.production.predicting import Predictor, State
from bench.production.retrained import Member, Retrained
from bench.production.scorer import SCORE, scored
from bench.progress import Progress, Silent
from bench.records import Scalar
from bench.schema import Schema
from bench.seeds import derive
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

UNCONFIRMED = "the point was not confirmed, so there is no prediction interval to compare test with"


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        card: of the data set; store: with the tasks to train.
        config: dotted.
        objectives: of the run; the best mean of them on what is held out chooses among seeds.
        length: for how long.
        options: how.
        seed: from which all others derive.
        score: what the model ranks by; outcomes: of that ranking, to be measured on test.
    """

    card: Card
    store: Store
    config: Mapping[str, Scalar]
    objectives: tuple[Objective, ...]
    length: Length
    options: Retraining
    seed: int = 0
    score: Score = field(default_factory=Score)
    outcomes: tuple[str, ...] = ()


def retrain(
    order: Order,
    work: Path,
    intervals: Mapping[str, PredictionInterval],
    force: bool = False,
    threads: int = 1,
    device: str = "auto",
    progress: Progress | None = None,
) -> Retrained:
    """Trains, chooses or averages, calibrates, and compares the result with the prediction intervals.

    Equal orders give equal members, bit for bit, on one machine's CPU with one number of threads.

    Args:
        work: a folder for the joined data, which is gone afterwards if its owner removes it.
        intervals: see `bench.frontier.retraining.prediction_intervals`; where there are none a warning says so.
        force: keeps a result that is worse than its interval, with a warning.

    Raises:
        UserError: a metric on test is worse than its interval, without `force`; no rows to hold out, or of one class.
        FloatingPointError: a training diverged.
    """
    progress = progress or Silent()
    config, options = TrialConfig.parse(order.config), order.options
    store = refit_store(order.store, order.card, options.held_out, order.seed, work / "refit")
    seeds = tuple(derive(order.seed, "retrain", k) for k in range(options.seeds))
    predictor = Predictor(store, config, device, outcomes_of([*(each.name for each in order.objectives), *intervals]))
    trained = [_train(order, store, config, seed, threads, device, predictor, progress) for seed in seeds]
    kept = trained if options.choose == "average" else [max(trained, key=lambda each: _merit(each, order.objectives))]
    found = {key: fmean(each.test[key] for each in kept) for key in kept[0].test}
    worse, warnings = verdicts(intervals, found) if intervals else ([], [UNCONFIRMED])
    if worse and not force:
        raise UserError(f"retraining is refused: {'; '.join(worse)}; to keep it all the same, use --force")
    for sentence in (*worse, *warnings):
        progress.note(f"warning: {sentence}")

    members = [member.states for member in kept]
    said = list(predictor.said("valid", members))
    labels, conditional, joint = (
        np.concatenate(each)
        for each in zip(*((each.labels, each.conditional, each.joint) for each in said), strict=True)
    )
    calibrations = fit_calibrations(store.schema, labels, conditional, joint, options.calibration)
    return Retrained(
        config=config.dotted(),
        tasks=tuple(task.name for task in store.schema.tasks),
        members=tuple(kept),
        seeds=seeds,
        calibrations=calibrations,
        test=predictor.metrics("test", members),
        calibrated=predictor.metrics("test", members, calibrations),
        served=_served(order, store.schema, predictor, members, calibrations),
        warnings=(*worse, *warnings),
        provenance={
            "data": {"key": order.store.key, "fingerprint": order.store.fingerprint},
            "tasks": [task.name for task in store.schema.tasks],
            "config": config.dotted(),
            "retrain": options.model_dump(mode="json"),
            "epochs": order.length.epochs if order.length.epochs is not None else config.optim.epochs,
            "seed": order.seed,
            "seeds": list(seeds),
            "kept": [member.seed for member in kept],
            "threads": threads,
            "versions": versions(),
        },
    )


def _served(
    order: Order,
    schema: Schema,
    predictor: Predictor,
    members: Sequence[Sequence[State]],
    calibrations: Mapping[str, Calibration],
) -> dict[str, float]:
    """Outcomes on test of the ranking by the score."""
    if not order.outcomes:
        return {}
    labels, conditional, joint, group = (
        np.concatenate(each) for each in zip(*predictor.said("test", members), strict=True)
    )
    score = scored(schema, conditional, joint, calibrations, order.score.of(schema.tasks))[SCORE]
    measure = Measure(schema.tasks, order.outcomes, joint_labels(schema, labels), group, "test")
    return dict(zip(measure.names, measure.values(score).tolist(), strict=True))


def _train(
    order: Order,
    store: Store,
    config: TrialConfig,
    seed: int,
    threads: int,
    device: str,
    predictor: Predictor,
    progress: Progress,
) -> Member:
    trainer = Trainer(store, config, order.objectives, seed, threads, device, select=False)
    ends = _ends(trainer, order.length)
    states: dict[int, State] = {}
    for end in sorted(set(ends)):
        trainer.run_to(end, progress)
        states[end] = {name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()}
    lengths = ends if len(states) > 1 else ends[:1]
    member = [states[end] for end in lengths]
    metrics = {split: predictor.metrics(split, [member]) for split in ("valid", "test")}
    return Member(seed, tuple(member), tuple(lengths), metrics["valid"], metrics["test"])


def _ends(trainer: Trainer, length: Length) -> list[int]:
    """Training samples at which to stop: one for all tasks, or one each where they are separate models."""

    def samples(epochs: float | None) -> int:
        steps = trainer.total if epochs is None else round(epochs * trainer.steps_an_epoch)
        return trainer.batch_size * max(1, min(trainer.total, steps))

    if len(trainer.selectors) == 1:
        return [samples(length.epochs)]
    alone = [each.objectives[0].name if len(each.objectives) == 1 else "" for each in trainer.selectors]
    return [samples(length.own.get(name, length.epochs)) for name in alone]


def _merit(member: Member, objectives: Sequence[Objective]) -> float:
    """The signed mean of the objectives on what is held out; one that is undefined there is the worst."""
    metrics = [each for each in objectives if each.is_metric]
    found = fmean(each.sign * member.held_out.get(each.key("valid"), math.nan) for each in metrics)
    return -math.inf if math.isnan(found) else found
