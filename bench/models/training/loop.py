"""The training loop: one configuration on one store with one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.objectives import Objective, outcomes_of
from bench.core.records import SplitName
from bench.core.seeds import derive
from bench.core.system.progress import Progress, Silent
from bench.data import Store
from bench.data.batches import Batch, Batches
from bench.data.store import StoredSplit
from bench.measure.spaces import given_parent
from bench.models.assembly import MultiTaskModel
from bench.models.thinned import Thinning
from bench.models.training import checkpoint
from bench.models.training.config import TrialConfig
from bench.models.training.device import choose_device, feed
from bench.models.training.evaluation import Evaluation, Measured
from bench.models.training.probes import Diagnosis
from bench.models.training.randomness import RandomState
from bench.models.training.selection import Averaging, selectors
from bench.models.training.step import CapturedStep, Compute, build_step, check_finite
from bench.models.training.teacher import taught

CHECK_EVERY = 50  # steps between checks that losses are finite


class Trainer:
    """Builds the model of a configuration, trains it, and keeps its best state by validation.

    Args:
        store: its schema's tasks are the tasks to train.
        objectives: decide early stopping.
        seed: of initial weights, order of samples, dropout and random balancers.
        device: "auto", "cpu" or "cuda", see `bench.models.training.device`.
        outcomes: of rankings to measure, besides those among the objectives.
        select: False skips validation: training does not stop early, and keeps the last state.

    Attributes:
        course: the progress so far.
        step: the work on a batch; `compute` runs it, on a GPU as a captured graph.
        diagnosis: probes the interaction of the tasks.
        batch_size: samples of a step: the configuration's, or all of train if that is smaller.
        total: steps of the whole budget, of which early stopping may use fewer.
        passes_before: over the data, of the trainings that this one goes on from, see
            `bench.models.training.warm`.

    Raises:
        UserError: the configuration does not fit the store's schema, or the device is unavailable.
    """

    def __init__(
        self,
        store: Store,
        config: TrialConfig,
        objectives: Sequence[Objective],
        seed: int,
        threads: int = 1,
        device: str = "auto",
        select: bool = True,
        outcomes: Sequence[str] = (),
    ) -> None:
        self.store = store
        self.schema = store.schema
        self.config = config
        self.seed = seed
        self.objectives = tuple(objectives)
        self.select = select
        config.check_fit(self.schema)
        self.device = choose_device(device)
        if self.device.type == "cuda":
            # Streams and captured graphs use the process's current device.
            torch.cuda.set_device(self.device)
        torch.set_num_threads(threads)
        self._threads = threads

        train = store.split("train")
        means = Batches(train).label_means(self.schema.parents)
        self.step = build_step(
            self.schema,
            config,
            means,
            derive(seed, "weights"),
            threads,
            self.device,
            _thinning(store),
        )
        self.model = self.step.model
        fit_tables(self.model, train)
        fit_positions(self.model, train)

        self.data = feed(train, self.device, self.model.funnel.loss.binary.needs_groups)
        self._has_teacher = False
        self._batches: Iterator[Batch] | None = None
        optim = config.optim
        self.batch_size = max(1, min(optim.batch_size, len(train)))
        self.steps_an_epoch = self.data.steps(optim.batch_size)
        self.total = max(1, round(optim.epochs * self.steps_an_epoch))
        self.passes_before = 0
        self._evaluated_steps: set[int] = set()  # of an epoch
        for evaluation in range(1, optim.evaluations + 1):
            step = round(evaluation * self.steps_an_epoch / optim.evaluations)
            self._evaluated_steps.add(max(1, step))
        self.schedule = Schedule(optim.schedule, self.total, round(optim.warmup * self.total))
        self.averaging = Averaging(self.model, optim.averaging, self.total)

        tasks = [task.name for task in self.schema.tasks]
        separate = self.model.sharing.shares_nothing and not self.model.funnel.ties_tasks
        self.selectors = selectors(objectives, tasks, separate)
        measured = outcomes_of([*(objective.name for objective in objectives), *outcomes])
        self.evaluation = Evaluation(self.store, self.model, self.device, measured)
        self.diagnosis = Diagnosis(
            self.model, self.step.balancer, means, self.total, self.batch_size
        )
        self.course = Course(torch.zeros(len(tasks), device=self.device))
        self.random = RandomState(derive(seed, "training"), self.device)
        self._stateful: dict[str, Any] = {
            "model": self.model,
            "balancer": self.step.balancer,
            "dense": self.step.dense,
            "rows": self.step.rows,
            "random": self.random,
        }
        self._note = Silent().note
        self.compute = self._new_compute()

    def run_to(
        self,
        samples: int | None = None,
        progress: Progress | None = None,
    ) -> Course:
        """Trains until that many samples were seen, the epochs are used up, or no selector improves
        any more.

        Training in several calls equals training in one. `samples`, of the whole training, are
        rounded up to whole batches; None trains to the end. Raises FloatingPointError if a loss is
        no longer finite.
        """
        course, progress = self.course, progress or Silent()
        until = self.total
        if samples is not None:
            until = min(self.total, math.ceil(samples / self.batch_size))
        if course.finished or course.step >= until:
            return course

        self._note = progress.note
        self._teach()
        self.model.train()
        with (
            self.random.drawing(),
            progress.task("training", until - course.step, "steps") as advance,
        ):
            started = time.perf_counter()
            while course.step < until and not course.finished:
                self._one_step()
                evaluates = self._evaluates_here()
                if evaluates or course.step % CHECK_EVERY == 0 or course.step == 1:
                    check_finite(course.losses, course.samples, self.schema.tasks)
                if evaluates:
                    course.seconds += time.perf_counter() - started
                    self._evaluate()
                    started = time.perf_counter()
                advance(1)
            course.seconds += time.perf_counter() - started
        if course.finished:
            self._batches = None
        return course

    def metrics(
        self,
        split: SplitName,
        resamples: int = 0,
        file: Path | None = None,
    ) -> dict[str, float]:
        """Every task's metrics on a split, at the best state so far; see `Evaluation.best`."""
        return self.evaluation.best(split, self.selectors, resamples, file)

    def show_positions(self, show: bool) -> None:
        """Sets whether evaluation has each row's position, see `bench.models.position`; else it is
        as served.
        """
        position = self.model.position
        if position is not None and position.shown != show:
            position.shown = show
            self.evaluation.measured.clear()
            for selector in self.selectors:
                selector.logits = None

    def save(self, path: Path | str) -> None:
        """Writes a checkpoint; raises OSError if it could not be written."""
        checkpoint.write(Path(path), self.state_dict(), self._identity())

    def load(self, path: Path | str) -> None:
        """Continues from a checkpoint; raises UserError if damaged, or of another configuration,
        data set or seed.
        """
        self.load_state_dict(checkpoint.read(Path(path), self._identity()))

    def state_dict(self) -> checkpoint.State:
        """Everything needed to continue, as nested plain values and tensors, which are the
        trainer's own.
        """
        return {
            **{name: part.state_dict() for name, part in self._stateful.items()},
            "averaging": self.averaging.state_dict(),
            "course": self.course.state_dict(),
            "selectors": [selector.state_dict() for selector in self.selectors],
            "measured": self.evaluation.measured,
            "diagnosis": self.diagnosis.state_dict(),
        }

    def load_state_dict(self, state: checkpoint.State) -> None:
        """Loads a state of the same configuration and schema, on any device; resets a trainer that
        has run.
        """
        for name, part in self._stateful.items():
            part.load_state_dict(state[name])
        self.averaging.load_state_dict(state["averaging"], self.device)
        self.course.load_state_dict(state["course"])
        self.course.losses = self.course.losses.to(self.device, copy=True)
        for selector, selector_state in zip(self.selectors, state["selectors"], strict=True):
            selector.load_state_dict(selector_state, self.device)
        self.evaluation.measured = {}
        for split, (samples, metrics) in state["measured"].items():
            self.evaluation.measured[split] = Measured(samples, dict(metrics))
        self.diagnosis.load_state_dict(state.get("diagnosis", {}))
        self._batches = None
        self.compute = self._new_compute()

    def _new_compute(self) -> Compute:
        """Makes the function that runs a step; again after loading, which a captured graph would
        miss.
        """
        second_forward = "second forward" in self.step.balancer.needs
        if self.device.type == "cpu" or second_forward:  # no graph sets random states
            return self.step
        return CapturedStep(self.step, lambda text: self._note(text))

    def _teach(self) -> None:
        """Mixes train's labels with the teacher's, before the first step."""
        loss = self.model.funnel.loss.binary
        if loss.teacher_share and not self._has_teacher:
            train = taught(self.store, loss.teacher_share, self._threads, self._note)
            self.data = feed(train, self.device, loss.needs_groups)
            self._has_teacher = True

    def _one_step(self) -> None:
        batch = self._next_batch()
        self.diagnosis.look(self.course.step, batch)
        for selector in self.selectors:
            selector.keep(self.model)
        self.step.scale_rates(self.schedule.factor(self.course.step))
        self.course.add(self.compute(*batch), len(batch.labels))
        self.averaging.after(self.course.step)

    def _next_batch(self) -> Batch:
        epoch, step = divmod(self.course.step, self.steps_an_epoch)
        if self._batches is None or step == 0:
            seed = derive(self.seed, "epoch", self.passes_before + epoch)
            self._batches = self.data.shuffled(self.config.optim.batch_size, seed, start=step)
        return next(self._batches)

    def _evaluates_here(self) -> bool:
        step = self.course.step
        step_of_epoch = (step - 1) % self.steps_an_epoch + 1
        return step == self.total or step_of_epoch in self._evaluated_steps

    def _evaluate(self) -> None:
        course, is_last = self.course, self.course.step == self.total
        if not self.select:
            course.finished = is_last
            return
        if self.averaging.on and is_last:  # keep the average, not an earlier best state
            for selector in self.selectors:
                selector.forget()
        metrics = self.evaluation.judge(self.selectors, course.samples)
        course.curve.append(self._point(metrics))
        patience = self.config.optim.patience
        waited = all(selector.waited >= patience for selector in self.selectors)
        course.finished = is_last or (waited and not self.averaging.on)

    def _point(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The curve's next entry."""
        course = self.course
        point = {"samples": float(course.samples), "epoch": course.step / self.steps_an_epoch}
        for selector in self.selectors:
            for objective in selector.objectives:
                name = objective.key("valid")
                if name in metrics:
                    point[name] = metrics[name]
        for task, loss in zip(self.schema.tasks, course.take_losses(), strict=True):
            point[f"loss/{task.name}"] = loss
        return point

    def _identity(self) -> dict[str, object]:
        goals = [f"{objective.direction} {objective.name}" for objective in self.objectives]
        return {
            "data": f"{self.store.key} {self.store.fingerprint}",
            "tasks": [task.name for task in self.schema.tasks],
            "objectives": goals,
            "seed": self.seed,
            **self.config.dotted(),
        }


@dataclass(frozen=True)
class Schedule:
    """The learning rate over a training, as a factor of the base rate: warm-up, then decay.

    It depends only on the step and the whole budget, not on pauses.

    Attributes:
        decay: after the warm-up: "constant"; "cosine", a half cosine from 1 towards 0 (Loshchilov &
            Hutter, ICLR 2017, without restarts); or "linear" from 1 towards 0. Both would be 0 one
            step after the last.
        total: steps of the whole budget.
        warmup: steps of the linear warm-up, which reaches 1 with its last step (Goyal et al.,
            2017).
    """

    decay: str
    total: int
    warmup: int = 0

    def factor(self, step: int) -> float:
        """The factor for step 0 .. total - 1."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.decay == "constant":
            return 1.0
        progress = (step - self.warmup) / (self.total - self.warmup)
        if self.decay == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        return 1.0 - progress


@dataclass
class Course:
    """Progress of a training and its results so far.

    `step` determines the position in the data: every epoch has the same number of steps.

    Attributes:
        losses: (T,), summed over the steps since the last evaluation.
        step: number of updates.
        samples: number of training samples seen.
        seconds: spent in training steps, without evaluations.
        counted: steps since the last evaluation.
        finished: whether the budget is used up or the training stopped early.
        curve: one entry an evaluation, see `bench.core.records.TrialResult`.
    """

    losses: Tensor
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    counted: int = 0
    finished: bool = False
    curve: list[dict[str, float]] = field(default_factory=list)

    def add(self, losses: Tensor, samples: int) -> None:
        """Adds one step."""
        self.losses += losses
        self.step += 1
        self.samples += samples
        self.counted += 1

    def take_losses(self) -> list[float]:
        """Mean loss of each task since the last call."""
        means: list[float] = (self.losses / max(1, self.counted)).tolist()
        self.losses, self.counted = torch.zeros_like(self.losses), 0
        return means

    def state_dict(self) -> checkpoint.State:
        """All attributes, not copied."""
        return dict(vars(self))

    def load_state_dict(self, state: checkpoint.State) -> None:
        """Loads a state."""
        for name in vars(self):
            setattr(self, name, state[name])
        self.curve = [dict(point) for point in self.curve]


DRAWN_ROWS = 1 << 20
"""Rows drawn from a larger split."""


def fit_positions(model: MultiTaskModel, train: StoredSplit) -> None:
    """Counts how often train has each position."""
    if model.position is None:
        return
    counts = torch.zeros_like(model.position.shares)
    for start in range(0, len(train), DRAWN_ROWS):
        ids = train.ids_of(slice(start, start + DRAWN_ROWS))
        codes = model.position.codes(torch.from_numpy(ids))
        counts += torch.bincount(codes, minlength=len(counts)).to(counts)
    counts[0] = 0
    model.position.shares.copy_(counts / counts.sum().clamp(min=1))


def fit_tables(model: MultiTaskModel, train: StoredSplit) -> None:
    """Fits the tables of a regression loss on train's targets, each on its sample space; depends
    only on the split.
    """
    regression = model.funnel.loss.regression
    if not regression.needs_tables or not len(train):
        return
    rows: slice | np.ndarray = slice(None)
    if len(train) > DRAWN_ROWS:
        rng = np.random.default_rng(0)
        rows = np.sort(rng.choice(len(train), DRAWN_ROWS, replace=False))
    labels = np.asarray(train.labels[rows])
    columns = []
    for task, parent in enumerate(model.schema.parents):
        columns.append(given_parent(labels, task, parent))
    values = np.stack(columns, axis=1)
    weights = bounds = None
    if train.weights is not None:
        weights = np.asarray(train.weights[rows]).prod(axis=1)
    if train.bounds is not None:
        bounds = np.asarray(train.bounds[rows])
    targets = values
    if model.targets is not None:
        device = model.embedding.weight.device
        scaled = model.targets.of_labels(torch.from_numpy(values).to(device))
        targets = scaled.cpu().numpy()
        values = model.targets.values(scaled).cpu().numpy()
        if bounds is not None:
            scaled_bounds = model.targets.of_bounds(torch.from_numpy(bounds).to(device))
            bounds = scaled_bounds.cpu().numpy()
    regression.fit(targets, values, np.asarray(train.dense[rows]), weights, bounds)


def _thinning(store: Store) -> Thinning | None:
    weights = store.weights
    if weights is None or weights.task is None:
        return None
    return Thinning(weights.task, weights.rate)
