"""Final training of a pick: on train and validation together, on several seeds, and calibrated.

A network is trained for the passes over the data after which the search saw it best on validation.
Held-out rows determine the number of trees, choose among seeds and fit calibrations; test is opened
last, for comparison with its prediction intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from bench.core.errors import UserError
from bench.core.objectives import Objective, outcomes_of
from bench.core.records import Scalar, SplitName
from bench.core.schema import SCORE, Schema
from bench.core.seeds import derive
from bench.core.system.machine import versions
from bench.core.system.progress import Progress, Silent
from bench.data import Store
from bench.data.batches import Batches
from bench.data.card import Card
from bench.data.refit import refit_store
from bench.deciding.retraining import Length, Retraining, verdicts
from bench.deciding.score import Score
from bench.ledger.effect import Effect
from bench.measure.heads.calibration import decile_tables
from bench.measure.outcomes import Measure
from bench.measure.spaces import Labelled, Predicted, joint_labels, together
from bench.measure.tally import Tally
from bench.models.training.config import TrialConfig
from bench.models.training.device import choose_device
from bench.models.training.loop import Trainer
from bench.models.training.parts import seed_of
from bench.models.training.tree_model import grow
from bench.models.training.tree_settings import is_trees, whole_settings
from bench.serve.bounds import ROWS
from bench.serve.calibration import Calibration, calibrated, fit_calibrations
from bench.serve.scorer import scored
from bench.serve.served_model import (
    Member,
    ModelPart,
    ModelSpec,
    State,
    States,
    Trained,
    TrainedTrees,
)


class Predictor:
    """Predicts with trained members on a store, as served: in float32."""

    def __init__(
        self,
        store: Store,
        parts: Sequence[ModelPart],
        device: str = "auto",
        outcomes: Sequence[str] = (),
    ) -> None:
        self.store, self.parts, self.outcomes, self.device = (
            store,
            tuple(parts),
            tuple(outcomes),
            choose_device(device),
        )

    def predictions(self, split: SplitName, members: Sequence[Member]) -> Iterator[Predicted]:
        """Mean probabilities of the members, in the split's order."""
        served = (
            ModelSpec.of_trained(self.store.schema, self.parts, members).of(members).to(self.device)
        )
        data, at = self.store.split(split), 0
        for batch in Batches(data).in_order(ROWS):
            with torch.inference_mode():
                said = served(batch.ids.to(self.device), batch.dense.to(self.device))
            conditional, joint = (each.cpu().numpy() for each in said)
            rows = slice(at, at + len(conditional))
            at += len(conditional)
            beside = (
                np.asarray(data.labels_of(rows)),
                np.asarray(data.group[rows]),
                data.weights_of(rows),
            )
            yield Predicted(*beside, conditional=conditional, joint=joint)

    def metrics(self, split: SplitName, rows: Iterable[Predicted]) -> dict[str, float]:
        """Every task's metrics of predictions of a split."""
        about = self.store.weights
        plain = about is not None and about.plain
        tally = Tally(self.store.schema.tasks, f"{split}/", outcomes=self.outcomes, plain=plain)
        for each in rows:
            tally.add(each)
        return tally.result()


@dataclass(frozen=True)
class TrainedSeed:
    """One training of all parts, in the order of the specification's.

    `samples` are training samples of each state of each network, none for trees; `held_out` metrics
    on the held-out rows, as `valid/click.auc`; `test` metrics on test, uncalibrated.
    """

    seed: int
    parts: Member
    samples: tuple[int, ...]
    held_out: dict[str, float]
    test: dict[str, float]


@dataclass(frozen=True)
class Retrained:
    """The final model, as plain values and tensors on the CPU.

    Attributes:
        parts: trained parts of the model.
        members: those that are kept; several are averaged.
        calibrations: by prediction (`click`, `buy.cvr`, `buy.ctcvr`), for the mean of the members.
        test: metrics on test of the members' mean, uncalibrated.
        calibrated: the same, calibrated.
        served: outcomes on test of the ranking by the score, as `like.recall@10%`.
        deciles: on test, for each prediction of a regression (`watch.cvr`): weight, mean prediction
            and mean label of each tenth of the rows, sorted by prediction.
        warnings: where test is outside its prediction intervals, in sentences.
        provenance: data, configuration, seeds and versions that remake it.
    """

    parts: tuple[ModelPart, ...]
    members: tuple[TrainedSeed, ...]
    calibrations: dict[str, Calibration]
    test: dict[str, float]
    calibrated: dict[str, float]
    served: dict[str, float] = field(default_factory=dict)
    deciles: dict[str, list[list[float]]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


UNCONFIRMED = "the point was not confirmed, so there is no prediction interval to compare test with"


@dataclass(frozen=True)
class PartOrder:
    """A part to train: the dotted `config` of its point, how long, and its `shares` by task, see
    `ModelPart`.
    """

    config: Mapping[str, Scalar]
    length: Length
    shares: tuple[float, ...]


@dataclass(frozen=True)
class RetrainSpec:
    """A final training to do.

    Attributes:
        store: with the tasks to train.
        objectives: of the run; their best mean on held-out rows chooses among seeds.
        seed: from which all others derive.
        outcomes: of the score's ranking, to be measured on test.
    """

    card: Card
    store: Store
    parts: tuple[PartOrder, ...]
    objectives: tuple[Objective, ...]
    options: Retraining
    seed: int = 0
    score: Score = field(default_factory=Score)
    outcomes: tuple[str, ...] = ()


def retrain(
    spec: RetrainSpec,
    work: Path,
    intervals: Mapping[Objective, Effect],
    force: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> Retrained:
    """Trains, chooses or averages, calibrates, and compares the result with the prediction
    intervals.

    Equal specs give equal members, bit for bit, on one machine's CPU with one number of threads.
    `work` is a folder for the joined data, which its owner removes. Without intervals
    (`bench.deciding.retraining.prediction_intervals`), or with `force` and a metric on test worse
    than its interval, there is a warning.

    Raises:
        UserError: a metric on test is worse than its interval, without `force`; no rows to hold
            out, or of one class.
        FloatingPointError: a training diverged.
    """
    progress = progress or Silent()
    options = spec.options
    store = refit_store(spec.store, spec.card, options.held_out, spec.seed, work / "refit")
    seeds = tuple(derive(spec.seed, "retrain", k) for k in range(options.seeds))
    parts = tuple(
        ModelPart(config=config_of(each, store.schema), shares=each.shares) for each in spec.parts
    )
    predictor = Predictor(
        store, parts, outcomes=outcomes_of([each.name for each in (*spec.objectives, *intervals)])
    )
    trained = [_train(spec, store, seed, threads, predictor, progress) for seed in seeds]
    kept = (
        trained
        if options.choose == "average"
        else [max(trained, key=lambda each: _merit(each, spec.objectives))]
    )
    means = {key: fmean(each.test[key] for each in kept) for key in kept[0].test}
    worse, warnings = verdicts(intervals, means) if intervals else ([], [UNCONFIRMED])
    if worse and not force:
        raise UserError(
            f"retraining is refused: {'; '.join(worse)}; to keep it all the same, use --force"
        )
    for sentence in (*worse, *warnings):
        progress.note(f"warning: {sentence}")

    about = {
        "data": {"key": spec.store.key, "fingerprint": spec.store.fingerprint},
        "tasks": [task.name for task in store.schema.tasks],
        "parts": [part.model_dump() for part in parts],
        "retrain": options.model_dump(mode="json"),
        "epochs": [each.length.epochs for each in spec.parts],
        "seed": spec.seed,
        "seeds": list(seeds),
        "kept": [member.seed for member in kept],
        "threads": threads,
        "versions": versions(),
    }
    return finished(predictor, kept, options, spec.score, spec.outcomes, (*worse, *warnings), about)


def finished(
    predictor: Predictor,
    kept: Sequence[TrainedSeed],
    options: Retraining,
    score: Score,
    outcomes: Sequence[str],
    warnings: tuple[str, ...],
    provenance: dict[str, Any],
) -> Retrained:
    """Calibrates trained members on the rows that are held out, and measures them on test; see
    `Retrained`.
    """
    schema = predictor.store.schema
    members = [member.parts for member in kept]
    held_out, test = (
        together(predictor.predictions(split, members)) for split in ("valid", "test")
    )
    calibrations = fit_calibrations(schema, held_out, options.calibration)
    conditional, joint = calibrated(schema, test.conditional, test.joint, calibrations)
    said = scored(schema, test.conditional, test.joint, calibrations, score.of(schema.tasks))[SCORE]
    ranked = Labelled(joint_labels(test.labels, schema), test.group, test.of_rows)
    values = Measure(schema.tasks, outcomes, ranked).values(said)[0].tolist()
    return Retrained(
        parts=predictor.parts,
        members=tuple(kept),
        calibrations=calibrations,
        test=predictor.metrics("test", [test]),
        calibrated=predictor.metrics("test", [replace(test, conditional=conditional, joint=joint)]),
        served=dict(zip(outcomes, values, strict=True)),
        deciles=decile_tables(schema, test),
        warnings=warnings,
        provenance=provenance,
    )


def _train(
    spec: RetrainSpec,
    store: Store,
    seed: int,
    threads: int,
    predictor: Predictor,
    progress: Progress,
) -> TrainedSeed:
    samples: list[int] = []
    member: list[Trained] = []
    for at, (order, part) in enumerate(zip(spec.parts, predictor.parts, strict=True)):
        if part.trees:  # held-out rows determine their number: more rows allow more trees
            grown = grow(store, part.config, seed, threads).model
            member.append(TrainedTrees(grown.sizes, grown.state_dict()))
            continue
        config, own = TrialConfig.parse(part.config), seed_of(seed, at)
        states, lengths = _network(spec, order.length, store, config, own, threads, progress)
        member.append(states)
        samples += lengths
    held_out, test = (
        predictor.metrics(split, predictor.predictions(split, [member]))
        for split in ("valid", "test")
    )
    return TrainedSeed(seed, member, tuple(samples), held_out, test)


def config_of(order: PartOrder, schema: Schema) -> dict[str, Scalar]:
    """The whole configuration of a part."""
    if is_trees(order.config):
        return whole_settings(order.config, [task.name for task in schema.tasks])
    return TrialConfig.parse(order.config).dotted()


def _network(
    spec: RetrainSpec,
    length: Length,
    store: Store,
    config: TrialConfig,
    seed: int,
    threads: int,
    progress: Progress,
) -> tuple[States, list[int]]:
    """A network's states, and the training samples of each."""
    trainer = Trainer(store, config, spec.objectives, seed, threads, select=False)
    ends = ends_of(trainer, length)
    states: dict[int, State] = {}
    for end in sorted(set(ends)):
        trainer.run_to(end, progress)
        states[end] = {
            name: tensor.detach().cpu().clone()
            for name, tensor in trainer.model.state_dict().items()
        }
    lengths = ends if len(states) > 1 else ends[:1]
    return [states[end] for end in lengths], lengths


def ends_of(trainer: Trainer, length: Length) -> list[int]:
    """Training samples at which to stop: one number for all tasks, or one each for separate
    models.
    """

    def samples(epochs: float | None) -> int:
        steps = trainer.total if epochs is None else round(epochs * trainer.steps_an_epoch)
        return trainer.batch_size * max(1, min(trainer.total, steps))

    if len(trainer.selectors) == 1:
        return [samples(length.epochs)]
    alone = [
        each.objectives[0].name if len(each.objectives) == 1 else "" for each in trainer.selectors
    ]
    return [samples(length.own.get(name, length.epochs)) for name in alone]


def _merit(member: TrainedSeed, objectives: Sequence[Objective]) -> float:
    """Signed mean of the objectives on held-out rows; an undefined one is the worst."""
    metrics = [each for each in objectives if each.is_metric]
    mean = fmean(each.sign * member.held_out.get(each.key("valid"), math.nan) for each in metrics)
    return -math.inf if math.isnan(mean) else mean
