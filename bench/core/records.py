"""Plain values that pass between rooms: jobs, their outcomes, trials and points. No torch, no
optuna.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.core.plugins import PluginFile

Scalar = bool | int | float | str | None
TrialStatus = Literal["waiting", "running", "completed", "failed", "pruned"]
SplitName = Literal["train", "valid", "confirm", "test"]
FailureKind = Literal["configuration", "diverged", "infrastructure", "trainer", "bug"]

PointKind = Literal[
    "trial",
    "single_task",
    "equal_weights",
    "random_weights",
    "trees",
    "ensemble",
    "blend",
    "static_weights",
    "twin",
    "current",
    "model",
]
"""Kind of a point: a trial at some length, a baseline, the current point, or a model trained
elsewhere.
"""
Role = Literal["trial", "baseline", "current"]
NAMES: dict[PointKind, str] = {
    "single_task": "best single-task models",
    "equal_weights": "equal loss weights",
    "random_weights": "random loss weights",
    "trees": "boosted trees",
    "ensemble": "ensemble of single-task models",
    "blend": "blend of a network and trees",
    "static_weights": "static loss weights",
    "twin": "single-task models",
    "current": "current model",
}
"""Kind -> its name for people."""
NETWORK, TREES, SHARE = "blend.network", "blend.trees", "blend.share."
"""Keys of a blend's configuration: the ids of both parts, and the prefix of the network's share by
task.
"""
TRAINER = "trainer.kind"
"""Key of a configuration of a trainer from elsewhere: its name, which also stands before its
settings.
"""
OURS = "seesaw"
"""What stands there for models that come with the package."""
TRAINED: tuple[PointKind, ...] = tuple(NAMES)[1:]
"""Kinds other than trials that have replicates of their own, in listing order."""


@dataclass(frozen=True)
class Job:
    """One training run for a worker, or its part from one rung to the next.

    Attributes:
        trial: its number; None where `kind` is no trial.
        replicate: 0 for the search and the tuning of baselines, 1.. for confirmation on fresh
            seeds.
        config: dotted configuration, as in {"sharing.kind": "mmoe", "sharing.mmoe.experts": 4}.
        store: path of the encoded store.
        seed: of this training; the k-th replicates of all points have the same.
        splits: splits to evaluate; the search uses ("valid",), replicates all except train.
        objectives: metrics without split; early stopping uses their mean, signed by direction.
        tasks: names of the tasks to train, in order; they must be among the store's.
        threads: for the worker to use.
        until: training samples, counted from the trial's start, at which to stop; None trains to
            the end.
        checkpoint: path of the checkpoint to write at the end of the job; None writes none.
        resume: path of the checkpoint to start from, written by a job of the same trial; None
            starts fresh.
        device: "cpu", "cuda", or "auto", which is CUDA where it is available.
        resamples: number of resamples of each split except valid to measure as well.
        outcomes: of rankings, as in `like.recall@10%`, to measure besides those among the
            objectives.
        predictions: folder for joint predictions, see `bench.measure.predictions`; None keeps none.
        kind: of its point. Trees, blends and several models have configurations of their own, see
            `bench.models.training.tree_settings`, `bench.models.training.blend` and
            `bench.models.training.ensemble`.
        plugins: files whose entries the configuration may name.
        start: folder of an earlier training to go on from, see `bench.models.training.warm`; None
            begins afresh.
        keep: folder to leave for a later training; None leaves none.
        trainer: folder of the trainer from elsewhere that runs the job, see
            `bench.models.trainers.handing`; None for models that come with the package.
    """

    trial: int | None
    replicate: int
    config: dict[str, Scalar]
    store: str
    seed: int
    splits: tuple[SplitName, ...]
    objectives: tuple[str, ...]
    tasks: tuple[str, ...]
    threads: int
    until: int | None = None
    checkpoint: str | None = None
    resume: str | None = None
    device: str = "auto"
    resamples: int = 0
    outcomes: tuple[str, ...] = ()
    predictions: str | None = None
    kind: PointKind = "trial"
    plugins: tuple[PluginFile, ...] = ()
    start: str | None = None
    keep: str | None = None
    trainer: str | None = None

    def resamples_of(self, split: SplitName) -> int:
        """Number of resamples of a split; none of validation, for which no interval is shown."""
        return 0 if split == "valid" else self.resamples

    @property
    def training(self) -> str:
        """`Point.training` of the point that it trains."""
        return training_of(self.kind, self.trial, self.until, self.config)

    @property
    def name(self) -> str:
        """Its name in notes."""
        return NAMES[self.kind] if self.trial is None else f"trial {self.trial}"


RARER = "rarer"
"""Key among a task's resampled metrics: relative change of the number of rows of the rarer
class.
"""


@dataclass(frozen=True)
class TrialResult:
    """The measurements of a job.

    Attributes:
        metrics: `valid/income.auc` etc. at the best evaluation so far, and costs
            (`cost/parameters`, `cost/latency_ms`, `cost/latency_p99_ms`).
        speed: `train_samples_per_s`, `eval_samples_per_s`, `peak_rss_mb` of this job;
            `train_seconds` and `samples_trained` since the trial's start.
        curve: per evaluation {"samples": n, "epoch": e, "<objective>": v, "loss/<task>": v}.
        config: the whole configuration, dotted, defaults filled in.
        finished: whether training is over: its epochs are used up, or it stopped early.
        diagnosis: interaction of the tasks since the trial's start, by the probes of
            `bench.models.training.probes`: `probes`, their number, one every `every` steps on
            `rows` samples;
            `tasks`: for each, its `loss`, the loss over that of a constant prediction
            (`loss_over_base`) and the balancer's `weight`; by block, geometric means of its
            gradient's `norm` and of its `pull`, weight x norm;
            `pairs`: for each, by block, the mean `cosine` of the gradients, the share `below_zero`,
            the number of probes; `experts` at the last probe: for `gates` each expert's `share`,
            the `entropy` over the largest possible, and whether a gate `collapsed` on one expert;
            for `units` the share `dead` of each MLP, and whether it is `silent`; `course`: for each
            objective, the `best` on validation, at `best_samples`, and the loss since (`lost`) at
            `last_samples`.
        resampled: metric -> B numbers, its value on each resample of its split minus its value (NaN
            where undefined), if the job asked for them; resample b has the same rows for every
            model, see `bench.measure.resampling`. Of a binary task also `RARER`.
    """

    metrics: dict[str, float]
    speed: dict[str, float]
    curve: list[dict[str, float]]
    config: dict[str, Scalar]
    finished: bool = True
    diagnosis: dict[str, Any] = field(default_factory=dict)
    resampled: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """The reason why a job has no result."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True)
class Outcome:
    """A finished job: exactly one of result and failure is set.

    `started` is when a worker took it up, in seconds since 1970; `seconds` is its run time, without
    waiting.
    """

    job: Job
    result: TrialResult | None = None
    failure: Failure | None = None
    started: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Replicate:
    """One retraining of a configuration on a fresh seed; `until` as in `Job`, `resampled` as in
    `TrialResult`.
    """

    replicate: int
    seed: int
    metrics: dict[str, float]
    failure: Failure | None = None
    until: int | None = None
    resampled: dict[str, list[float]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RungResult:
    """A trial's result at one rung, after that many training samples since its start.

    `order` numbers the job that trained it there, over the whole search; `seconds` are of that job.
    The diagnosis is as in `TrialResult`, up to here.
    """

    samples: int
    order: int
    metrics: dict[str, float]
    seconds: float = 0.0
    diagnosis: dict[str, Any] = field(default_factory=dict)


class _Configured:
    """Names parts of a dotted configuration; `architecture` stands in where it is of no network."""

    config: dict[str, Scalar]
    architecture: str

    @property
    def trainer(self) -> str:
        """The name of its trainer; empty for models that come with the package."""
        name = str(self.config.get(TRAINER, OURS))
        return "" if name == OURS else name

    @property
    def sharing(self) -> str:
        """Its sharing kind; `trees` of trees, and so on."""
        return self._kind("sharing")

    @property
    def funnel(self) -> str:
        """Its funnel kind, or the architecture."""
        return self._kind("funnel")

    @property
    def balancing(self) -> str:
        """Its balancing kind, or the architecture."""
        return self._kind("balancing")

    @property
    def unshared(self) -> dict[str, Scalar]:
        """Its configuration without sharing and balancing: what a single-task model can have,
        too.
        """
        parts = ("sharing.", "balancing.")
        return {key: value for key, value in self.config.items() if not key.startswith(parts)}

    @property
    def weights(self) -> dict[str, float]:
        """Task -> its static loss weight."""
        prefix = "balancing.static.weight."
        weights = {}
        for key, value in self.config.items():
            if key.startswith(prefix):
                weights[key.removeprefix(prefix)] = float(str(value))
        return weights

    def _kind(self, part: str) -> str:
        return str(self.config.get(f"{part}.kind", self.architecture))


@dataclass(frozen=True)
class TrialRecord(_Configured):
    """One trial with all its results, as frontier, tracking and report read it.

    Attributes:
        state: "completed" at full length. In a search by rungs also "waiting" below it for a
            decision, and "pruned" where it will not continue: the search is over, or the trial
            failed after its last result.
        params: the searched parameters only.
        config: all parameters, dotted.
        architecture: the familiar name ("mmoe", "esmm", "ple+entire_space").
        metrics: at its highest rung.
        baseline: whether it was run as the single-task baseline.
        rungs: its results from the lowest rung; empty where every trial is trained to full length.
        diagnosis: as in `TrialResult`, at the highest rung; empty where none was recorded.
    """

    number: int
    state: TrialStatus
    params: dict[str, Scalar]
    config: dict[str, Scalar]
    architecture: str
    metrics: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    failure: Failure | None = None
    replicates: tuple[Replicate, ...] = ()
    baseline: bool = False
    started: float = 0.0
    seconds: float = 0.0
    rungs: tuple[RungResult, ...] = ()
    diagnosis: dict[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether it has a result to compare, at full length or below."""
        return self.state == "completed" or bool(self.rungs)

    @property
    def points(self) -> tuple[Point, ...]:
        """A point for each length that it was trained to, shortest first; none without a result.

        A point has the metrics and diagnosis of its rung, and the replicates trained to the same
        length.
        """
        if not self.measured:
            return ()
        rungs = self.rungs or (RungResult(0, 0, self.metrics, 0.0, self.diagnosis),)
        untils: list[int | None] = [rung.samples for rung in rungs]
        if self.state == "completed":
            untils[-1] = None
        points = []
        for number, (rung, until) in enumerate(zip(rungs, untils, strict=True), 1):
            replicates = [run for run in self.replicates if run.until == until]
            point = Point(
                kind="trial",
                config=self.config,
                architecture=self.architecture,
                number=self.number,
                until=until,
                params=self.params,
                metrics=rung.metrics,
                replicates=tuple(replicates),
                baseline=self.baseline,
                rungs=self.rungs[:number],
                diagnosis=rung.diagnosis,
                curve=self.curve,
                speed=self.speed,
            )
            points.append(point)
        return tuple(points)


@dataclass(frozen=True)
class Point(_Configured):
    """A configuration trained to some length, with its replicates: the unit of confirming,
    comparing and picking.

    A trial's point is retrained with its `until`, on the learning-rate schedule of full length.

    Attributes:
        number: of the trial; None for a baseline and for the current point.
        until: training samples at which a retraining stops, as in `Job`; None for full length.
        params: the searched parameters only.
        config: all parameters, dotted. That of the best single-task models names each task's point,
            as `single_task.<task>`.
        metrics: of the search's own run, costs included; empty for a point that the search did not
            train.
        baseline: whether the search ran it as its single-task baseline.
        rungs: of its trial, up to its length.
        curve, speed: of its trial, see `TrialResult`.
        label: name of a model from elsewhere; of a twin the number of the trial whose settings it
            has.
    """

    kind: PointKind
    config: dict[str, Scalar]
    architecture: str
    number: int | None = None
    until: int | None = None
    params: dict[str, Scalar] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    replicates: tuple[Replicate, ...] = ()
    baseline: bool = False
    rungs: tuple[RungResult, ...] = ()
    diagnosis: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    speed: dict[str, float] = field(default_factory=dict)
    label: str = ""

    @property
    def samples(self) -> int | None:
        """Training samples of the search's own run; without rungs `until`."""
        if not self.rungs:
            return self.until
        return self.rungs[-1].samples

    @property
    def id(self) -> str:
        """Identifies it within its run: `7`, `7@16000`, `trees`, `static_weights 4:1`."""
        if self.number is not None:
            return point_id(self.number, self.until)
        if self.kind == "twin":
            return f"twin {self.label}"
        return self.label or f"{self.kind}{self._ratio}"

    @property
    def name(self) -> str:
        """Its name in a sentence: `trial 7 stopped after 16,000 samples`, `boosted trees`."""
        if self.number is not None:
            stop = "" if self.until is None else f" stopped after {self.until:,} samples"
            return f"trial {self.number}{stop}"
        if self.kind == "twin":
            return f"single-task, settings of trial {self.label}"
        return self.label or f"{NAMES[self.kind]}{self._ratio}"

    @property
    def role(self) -> Role:
        """Its role in comparisons."""
        if self.kind == "trial" or (self.kind == "model" and not self.baseline):
            return "trial"
        return "current" if self.kind == "current" else "baseline"

    @property
    def training(self) -> str:
        """Identifies trainings that differ only by seed; see `training_of`."""
        return training_of(self.kind, self.number, self.until, self.config)

    @property
    def unconfirmed(self) -> Point:
        """This point without its replicates."""
        return replace(self, replicates=())

    @property
    def _ratio(self) -> str:
        """` 4:1` of retuned static weights, in the tasks' order."""
        if self.kind != "static_weights" or not self.weights:
            return ""
        weights = self.weights.values()
        return " " + ":".join(f"{weight / min(weights):.3g}" for weight in weights)


def point_id(number: int, until: int | None) -> str:
    """The id of a trial's point."""
    if until is None:
        return str(number)
    return f"{number}@{until}"


def training_of(
    kind: PointKind, number: int | None, until: int | None, config: Mapping[str, Scalar]
) -> str:
    """Identifies trainings that differ only by seed: a trial's length, or a kind's length and
    configuration.

    A baseline's configuration may change when a search continues; trainings before and after stay
    apart.
    """
    if number is not None:
        return point_id(number, until)
    return json.dumps([kind, until, dict(config)], sort_keys=True)
