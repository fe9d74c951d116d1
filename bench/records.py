"""Plain values that pass between rooms: what a worker is asked to do, and what came of it. No torch, no optuna."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Scalar = bool | int | float | str | None
State = Literal["waiting", "running", "completed", "failed", "pruned"]
Split = Literal["train", "valid", "confirm", "test"]
FailureKind = Literal["configuration", "diverged", "infrastructure", "bug"]

BASELINES = ("equal_weights", "random_weights", "trees", "ensemble", "static_weights")
"""Baselines that are no trials of the search; that at place i has the number -1 - i instead of a trial's."""
TREES = -1 - BASELINES.index("trees")
ENSEMBLE = -1 - BASELINES.index("ensemble")
STATIC_WEIGHTS = -1 - BASELINES.index("static_weights")
"""Retuned static weights: the records of all weights have this number; their configurations tell them apart."""
COMPOSITE = -1 - len(BASELINES)
"""The best single-task model of each task together, see `bench.frontier.composite`."""


@dataclass(frozen=True)
class Job:
    """One training run for a worker, or the part of one from one rung to the next.

    Attributes:
        trial: number of the configuration; of a baseline that is no trial below 0, see `BASELINES`.
        replicate: 0 for the search itself and for what baselines are tuned by, 1.. for confirmation on fresh seeds.
        config: dotted configuration, as in {"sharing.kind": "mmoe", "sharing.mmoe.experts": 4}.
        store: path of the encoded store.
        seed: of this training; replicates of one number have the same, whatever they train.
        splits: which splits to evaluate; the search only ever asks for ("valid",), replicates for all but train.
        objectives: metrics without split whose mean, signed by direction, decides early stopping.
        tasks: names of the tasks to train, in order; they must be among the store's.
        threads: for the worker to use.
        until: training samples, counted from the trial's beginning, at which to stop; None trains to the end.
        checkpoint: path where to leave a checkpoint at the end of the job; None leaves none.
        resume: path of the checkpoint to start from, left by a job of the same trial; None starts anew.
        device: "cpu", "cuda", or "auto", which is CUDA where it is available.
        resamples: B, on how many resamples of each split except valid to measure as well; 0 for none.
        outcomes: of rankings, as in `like.recall@10%`, to measure besides those among the objectives.
        predictions: folder where to leave joint predictions, see `bench.predictions`; None leaves none.
    """

    trial: int
    replicate: int
    config: dict[str, Scalar]
    store: str
    seed: int
    splits: tuple[Split, ...]
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

    def resamples_of(self, split: Split) -> int:
        """On how many resamples of a split to measure; no interval is about validation, which the search reads."""
        return 0 if split == "valid" else self.resamples

    @property
    def trees(self) -> bool:
        """Whether it trains boosted trees, with a configuration of `bench.training.tree_settings`, and no network."""
        return self.trial == TREES

    @property
    def ensemble(self) -> bool:
        """Whether it trains an ensemble of half-size models of its configuration, see `bench.training.ensemble`."""
        return self.trial == ENSEMBLE


RARER = "rarer"
"""Among a task's resampled metrics: how many rows of the rarer class a resample has, over their number, less 1."""


@dataclass(frozen=True)
class TrialResult:
    """What a job measured.

    Attributes:
        metrics: `valid/income.auc` etc. at the best evaluation so far, and costs (`cost/parameters`,
            `cost/latency_ms`, `cost/latency_p99_ms`).
        speed: `train_samples_per_s`, `eval_samples_per_s`, `peak_rss_mb` of this job; `train_seconds` and
            `samples_trained` since the trial's beginning.
        curve: per evaluation {"samples": n, "epoch": e, "<objective>": v, "loss/<task>": v}.
        config: the whole configuration, dotted, defaults filled in.
        finished: whether training is over: its epochs are used up, or it stopped early.
        diagnosis: what the tasks did to each other since the trial's beginning, as the probes of
            `bench.training.diagnosis` saw it:
            `probes` how many there were, every `every` steps on `rows` samples;
            `tasks` of each its `loss` (and over that of a constant prediction, `loss_over_base`), the balancer's
            `weight`, and by block the `norm` of its gradient and its `pull`, weight times norm, geometric means;
            `pairs` of each by block the mean `cosine` of the gradients, the share `below_zero`, and of how many probes;
            `experts` of the last probe: `gates` with each expert's `share`, its `entropy` over the largest possible and
            whether it `collapsed` on one expert, `units` with the share `dead` of each MLP and whether it is `silent`;
            `course` of each objective on validation `best`, at `best_samples`, and what was `lost` by `last_samples`.
        resampled: of a job that was asked for it, for each metric how far it moves on each of B resamples of its split
            (value there less the metric's own; NaN where it is not defined there); resample b is the same rows for
            every model, see `bench.training.resampling`. Of a binary task also `RARER`.
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
    """Why a job has no result."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True)
class Outcome:
    """A finished job: exactly one of result and failure is set.

    Attributes:
        started: when a worker took it up, in seconds since 1970.
        seconds: how long it ran, waiting not included.
    """

    job: Job
    result: TrialResult | None = None
    failure: Failure | None = None
    started: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Replicate:
    """One retraining of a configuration on a fresh seed.

    Attributes:
        until: training samples at which it stopped, as in `Job`; None for full length.
        resampled: as in `TrialResult`; empty where it was trained by a version that did not resample.
    """

    replicate: int
    seed: int
    metrics: dict[str, float]
    failure: Failure | None = None
    until: int | None = None
    resampled: dict[str, list[float]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RungResult:
    """What a trial had come to at one rung.

    Attributes:
        samples: of training, since the trial's beginning.
        order: number of the job that trained it there, counted over the whole search.
        seconds: of that job.
        diagnosis: as in `TrialResult`, up to here.
    """

    samples: int
    order: int
    metrics: dict[str, float]
    seconds: float = 0.0
    diagnosis: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRecord:
    """One configuration with all that is known of it: what frontier, tracking and report are given.

    Attributes:
        state: "completed" at full length. In a search by rungs also "waiting" below it, to go on or not, and "pruned"
            where it never will: the search is over, or the trial failed after its last result.
        params: the searched parameters only.
        config: all of them, dotted.
        architecture: the familiar name ("mmoe", "esmm", "ple+entire_space").
        metrics: at the highest rung that it reached.
        baseline: whether it was run as the single-task baseline.
        rungs: its results from the lowest rung; empty where every trial is trained to full length.
        diagnosis: as in `TrialResult`, at the highest rung; empty where none was recorded.
    """

    number: int
    state: State
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
        """Whether it has a result that may be compared, at full length or below."""
        return self.state == "completed" or bool(self.rungs)

    @property
    def until(self) -> int | None:
        """Training samples at which to stop in order to train it again, as in `Job`; None for full length."""
        return self.rungs[-1].samples if self.rungs and self.state != "completed" else None

    def at(self, rung: int) -> TrialRecord:
        """Itself as it would be, had the search stopped it at a rung; rungs count from 0.

        It has the metrics and the diagnosis of that rung, and those of its replicates that were trained as long.
        What belongs to a trial as a whole (speed, curve, seconds) stays.
        """
        last = rung + 1 == len(self.rungs)
        state: State = self.state if last else "pruned"
        there = self.rungs[rung]
        rungs = self.rungs[: rung + 1]
        stopped = replace(self, state=state, metrics=there.metrics, diagnosis=there.diagnosis, rungs=rungs)
        return replace(stopped, replicates=tuple(each for each in self.replicates if each.until == stopped.until))

    @property
    def sharing(self) -> str:
        """Its sharing kind."""
        return str(self.config.get("sharing.kind", "?"))

    @property
    def funnel(self) -> str:
        """Its funnel kind."""
        return str(self.config.get("funnel.kind", "?"))

    @property
    def balancing(self) -> str:
        """Its balancing kind."""
        return str(self.config.get("balancing.kind", "?"))

    @property
    def weights(self) -> dict[str, float]:
        """Static weights by task, those that its configuration names."""
        prefix = "balancing.static.weight."
        of = {key.removeprefix(prefix): value for key, value in self.config.items() if key.startswith(prefix)}
        return {task: float(str(value)) for task, value in of.items()}

    def to_json(self) -> dict[str, Any]:
        """Itself as plain JSON values."""
        return asdict(self)
