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
from bench.models.training.ensemble import seed_of
from bench.models.training.loop import Trainer
from bench.models.training.tree_model import grow
from bench.models.training.tree_settings import is_trees, whole_settings
from bench.serve.bounds import ROWS
from bench.serve.calibration_maps import Calibration, calibrated, fit_calibrations
from bench.serve.scorer import scored
from bench.serve.served_model import (
    Member,
    ModelPart,
    ModelSpec,
    State,
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
        self.store = store
        self.parts = tuple(parts)
        self.outcomes = tuple(outcomes)
        self.device = choose_device(device)

    def predictions(self, split: SplitName, members: Sequence[Member]) -> Iterator[Predicted]:
        """Mean probabilities of the members, in the split's order."""
        spec = ModelSpec.of_trained(self.store.schema, self.parts, members)
        model = spec.with_weights(members).to(self.device)
        data = self.store.split(split)
        first_row = 0
        for batch in Batches(data).in_order(ROWS):
            ids = batch.ids.to(self.device)
            dense = batch.dense.to(self.device)
            with torch.inference_mode():
                conditional, joint = model(ids, dense)
            rows = slice(first_row, first_row + len(conditional))
            first_row = rows.stop
            yield Predicted(
                np.asarray(data.labels_of(rows)),
                np.asarray(data.group[rows]),
                data.weights_of(rows),
                conditional=conditional.cpu().numpy(),
                joint=joint.cpu().numpy(),
            )

    def metrics(self, split: SplitName, rows: Iterable[Predicted]) -> dict[str, float]:
        """Every task's metrics of predictions of a split."""
        weights = self.store.weights
        plain = weights is not None and weights.plain
        tally = Tally(self.store.schema.tasks, f"{split}/", outcomes=self.outcomes, plain=plain)
        for batch in rows:
            tally.add(batch)
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
    provenance: dict[str, object] = field(default_factory=dict)


UNCONFIRMED = "the point was not confirmed, so there is no prediction interval to compare test with"


@dataclass(frozen=True)
class PartOrder:
    """A part to train: the dotted `config` of its point, how long, and its `shares` by task, see
    `ModelPart`.

    Attributes:
        trainer: folder of the trainer from elsewhere that trains it; None for our own.
        until: its length in samples of the search, where such a trainer was stopped early.
    """

    config: Mapping[str, Scalar]
    length: Length
    shares: tuple[float, ...]
    trainer: Path | None = None
    until: int | None = None


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
    metrics = [objective.name for objective in (*spec.objectives, *intervals)]
    parts = [
        ModelPart(config=config_of(order, store.schema), shares=order.shares)
        for order in spec.parts
    ]
    predictor = Predictor(store, parts, outcomes=outcomes_of(metrics))

    seeds = [derive(spec.seed, "retrain", k) for k in range(options.seeds)]
    members = [_train(spec, seed, threads, predictor, progress) for seed in seeds]
    if options.choose == "one":
        members = [max(members, key=lambda member: _merit(member, spec.objectives))]

    worse: list[str] = []
    warnings = [UNCONFIRMED]
    if intervals:
        worse, warnings = verdicts(intervals, _mean_metrics(members))
    if worse and not force:
        raise UserError(
            f"retraining is refused: {'; '.join(worse)}; to keep it all the same, use --force"
        )
    for sentence in (*worse, *warnings):
        progress.note(f"warning: {sentence}")

    provenance = {
        "data": {"key": spec.store.key, "fingerprint": spec.store.fingerprint},
        "tasks": [task.name for task in store.schema.tasks],
        "parts": [part.model_dump() for part in parts],
        "retrain": options.model_dump(mode="json"),
        "epochs": [order.length.epochs for order in spec.parts],
        "seed": spec.seed,
        "seeds": seeds,
        "kept": [member.seed for member in members],
        "threads": threads,
        "versions": versions(),
    }
    sentences = (*worse, *warnings)
    return finished(predictor, members, options, spec.score, spec.outcomes, sentences, provenance)


def finished(
    predictor: Predictor,
    members: Sequence[TrainedSeed],
    options: Retraining,
    score: Score,
    outcomes: Sequence[str],
    warnings: tuple[str, ...],
    provenance: dict[str, object],
) -> Retrained:
    """Calibrates trained members on the rows that are held out, and measures them on test; see
    `Retrained`.
    """
    schema = predictor.store.schema
    trained = [member.parts for member in members]
    held_out = together(predictor.predictions("valid", trained))
    test = together(predictor.predictions("test", trained))
    calibrations = fit_calibrations(schema, held_out, options.calibration)
    conditional, joint = calibrated(schema, test.conditional, test.joint, calibrations)
    calibrated_test = replace(test, conditional=conditional, joint=joint)

    score = score.of(schema.tasks)
    scores = scored(schema, test.conditional, test.joint, calibrations, score)
    rows = Labelled(joint_labels(test.labels, schema), test.group, test.of_rows)
    measure = Measure(schema.tasks, outcomes, rows)
    values = measure.values(scores[SCORE])[0].tolist()
    return Retrained(
        parts=predictor.parts,
        members=tuple(members),
        calibrations=calibrations,
        test=predictor.metrics("test", [test]),
        calibrated=predictor.metrics("test", [calibrated_test]),
        served=dict(zip(outcomes, values, strict=True)),
        deciles=decile_tables(schema, test),
        warnings=warnings,
        provenance=provenance,
    )


def config_of(order: PartOrder, schema: Schema) -> dict[str, Scalar]:
    """The whole configuration of a part."""
    if is_trees(order.config):
        return whole_settings(order.config, [task.name for task in schema.tasks])
    return TrialConfig.parse(order.config).dotted()


def _train(
    spec: RetrainSpec,
    seed: int,
    threads: int,
    predictor: Predictor,
    progress: Progress,
) -> TrainedSeed:
    store = predictor.store
    samples: list[int] = []
    member: list[Trained] = []
    for k, (order, part) in enumerate(zip(spec.parts, predictor.parts, strict=True)):
        if part.trees:  # held-out rows determine their number: more rows allow more trees
            member.append(trained_trees(store, part.config, seed, threads))
            continue
        config = TrialConfig.parse(part.config)
        seed_of_part = seed_of(seed, k)
        trainer = Trainer(store, config, spec.objectives, seed_of_part, threads, select=False)
        ends = ends_of(trainer, order.length)
        member.append(trained_states(trainer, ends, progress))
        samples += ends
    held_out = predictor.metrics("valid", predictor.predictions("valid", [member]))
    test = predictor.metrics("test", predictor.predictions("test", [member]))
    return TrainedSeed(seed, member, tuple(samples), held_out, test)


def trained_trees(
    store: Store,
    settings: Mapping[str, Scalar],
    seed: int,
    threads: int,
) -> TrainedTrees:
    """Trees whose number held-out rows determine."""
    model = grow(store, settings, seed, threads).model
    return TrainedTrees(model.sizes, model.state_dict())


def trained_states(trainer: Trainer, ends: Sequence[int], progress: Progress) -> list[State]:
    """A network's state after each of these numbers of training samples."""
    states: dict[int, State] = {}
    for end in sorted(set(ends)):
        trainer.run_to(end, progress)
        states[end] = state_of(trainer)
    return [states[end] for end in ends]


def state_of(trainer: Trainer) -> State:
    """A copy of a network's weights, on the CPU."""
    state = {}
    for name, tensor in trainer.model.state_dict().items():
        state[name] = tensor.detach().cpu().clone()
    return state


def ends_of(trainer: Trainer, length: Length) -> list[int]:
    """Training samples at which to stop: one number for each separate model, or one where all are
    equal.
    """
    if len(trainer.selectors) == 1:
        return [_samples(trainer, length.epochs)]
    ends = []
    for selector in trainer.selectors:
        objectives = selector.objectives
        name = objectives[0].name if len(objectives) == 1 else ""
        ends.append(_samples(trainer, length.by_metric.get(name, length.epochs)))
    return ends if len(set(ends)) > 1 else ends[:1]


def _samples(trainer: Trainer, epochs: float | None) -> int:
    steps = trainer.total if epochs is None else round(epochs * trainer.steps_an_epoch)
    return trainer.batch_size * max(1, min(trainer.total, steps))


def _merit(member: TrainedSeed, objectives: Sequence[Objective]) -> float:
    """Signed mean of the objectives on held-out rows; an undefined one is the worst."""
    values = []
    for objective in objectives:
        if objective.is_metric:
            value = member.held_out.get(objective.key("valid"), math.nan)
            values.append(objective.sign * value)
    mean = fmean(values)
    return -math.inf if math.isnan(mean) else mean


def _mean_metrics(members: Sequence[TrainedSeed]) -> dict[str, float]:
    means = {}
    for key in members[0].test:
        means[key] = fmean(member.test[key] for member in members)
    return means
