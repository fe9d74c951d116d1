"""Measures a model: its predictions on a split, and its costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from bench.core.arrays import Ints, Singles
from bench.core.objectives import outcomes_of, ranked_tasks
from bench.core.records import Job, SplitName
from bench.core.rows import CONFIRM, SEARCH
from bench.core.schema import Schema
from bench.data import Store
from bench.data.store import StoredSplit
from bench.measure.predictions import MOST_OF_SPLIT, path_of
from bench.measure.resamples import units_of
from bench.measure.resampling import Resampling
from bench.measure.spaces import Predicted, joint_labels
from bench.measure.tally import Tally
from bench.models.assembly import MultiTaskModel, parameter_count
from bench.models.contracts import Probabilities
from bench.models.training.device import Feed, feed
from bench.models.training.kept import keeping, kept_places
from bench.models.training.selection import Selector

BATCH = 4096  # samples passed to the model at once
PIECE = 1 << 18  # samples passed to the metrics at once
LATENCY_BATCH = 100  # candidates scored for one request
LATENCY_MIN_RUNS, LATENCY_MAX_RUNS = 15, 100
LATENCY_SECONDS = 0.02  # no run starts after this total time: a search measures each of its trials
State = Mapping[str, Tensor]
BothPredictions = tuple[Singles, Singles]
"""The next rows' predictions (n, T): conditional on the parent, and joint with all ancestors, see
`bench.measure.tally`."""


class Measured(NamedTuple):
    """Metrics of a state: that after these numbers of training samples, one for each selector."""

    samples: list[int]
    metrics: dict[str, float]


class Evaluation:
    """Measures states of one model on the splits of a store, in pieces: memory does not grow with a
    split.

    Attributes:
        measured: the state measured last on a split; no state is measured twice.
        seconds: spent here so far.
        samples: predicted so far.
        resampled: metric -> its changes on the resamples, for the splits that were resampled.
    """

    def __init__(
        self,
        store: Store,
        model: MultiTaskModel,
        device: torch.device,
        outcomes: Sequence[str] = (),
    ) -> None:
        self.store = store
        self.model = model
        self.device = device
        self.outcomes = tuple(outcomes)
        self.measured: dict[str, Measured] = {}
        self.seconds = 0.0
        self.samples = 0
        self.resampled: dict[str, list[float]] = {}
        self._feeds: dict[str, Feed] = {}

    def judge(
        self,
        selectors: Sequence[Selector],
        samples: int,
    ) -> dict[str, float]:
        """Measures the current state on validation and passes the metrics to the selectors."""
        logits: Iterable[Tensor] = self.logits("valid")
        copies: list[Tensor] = []
        if any(selector.task is not None for selector in selectors):
            logits = _copied(logits, copies)
        metrics = self.measure("valid", logits)

        for selector in selectors:
            is_best = selector.judge(metrics, samples)
            if is_best and selector.task is not None:
                column = [batch[:, selector.task] for batch in copies]
                selector.logits = torch.cat(column) if column else torch.empty(0)
        if all(selector.current for selector in selectors):
            best_samples = [selector.samples for selector in selectors]
            self.measured["valid"] = Measured(best_samples, metrics)
        return metrics

    def best(
        self,
        split: SplitName,
        selectors: Sequence[Selector],
        resamples: int = 0,
        file: Path | None = None,
    ) -> dict[str, float]:
        """Every task's metrics at the best state; at each task's own best if tasks have selectors
        of their own.

        Before the first evaluation, those of the current state. With resamples, see `resampled`;
        joint predictions are written to `file`.
        """
        best_samples = [selector.samples for selector in selectors]
        if not all(best_samples):
            return self.measure(split, self.logits(split), resamples, file)

        last = self.measured.get(split)
        if resamples or file or last is None or last.samples != best_samples:
            metrics = self.measure(split, self._best_logits(split, selectors), resamples, file)
            last = self.measured[split] = Measured(best_samples, metrics)
        return last.metrics

    def glimpse(self, part: StoredSplit) -> dict[str, float]:
        """Every task's metrics of the current state on a part of validation, without recording
        them.
        """
        return self.measure("valid", self._logits(feed(part, self.device)), part=part)

    def measure(
        self,
        split: SplitName,
        logits: Iterable[Tensor],
        resamples: int = 0,
        file: Path | None = None,
        part: StoredSplit | None = None,
    ) -> dict[str, float]:
        """Every task's metrics of a split's logits, in any pieces (n, T); see `measured`."""
        started = time.perf_counter()
        metrics, resampled = measured(
            self.store,
            split,
            self._predictions(logits),
            resamples,
            self.outcomes,
            file,
            part,
        )
        self.resampled |= resampled
        self.seconds += time.perf_counter() - started
        return metrics

    def predictions(
        self,
        split: SplitName,
        selectors: Sequence[Selector],
    ) -> Iterator[BothPredictions]:
        """Predictions of a split at the best state, see `best`, piece by piece in its order."""
        return self._predictions(self._best_logits(split, selectors))

    def logits(
        self,
        split: SplitName,
        state: State | None = None,
    ) -> Iterator[Tensor]:
        """Logits (n, T) of a split, batch by batch in order; with the current weights, or those of
        a state.
        """
        if split not in self._feeds:
            self._feeds[split] = feed(self.store.split(split), self.device)
        return self._logits(self._feeds[split], state)

    def _logits(
        self,
        batches: Feed,
        state: State | None = None,
    ) -> Iterator[Tensor]:
        training = self.model.training
        self.model.eval()
        for batch in batches.in_order(BATCH):
            inputs = batch.ids, batch.dense
            with torch.no_grad():
                if state is None:
                    logits = self.model(*inputs)
                else:
                    logits = functional_call(self.model, dict(state), inputs)
            self.samples += len(logits)
            yield logits.float()
        self.model.train(training)

    def _predictions(self, logits: Iterable[Tensor]) -> Iterator[BothPredictions]:
        for piece in _joined(logits):
            probabilities = self.model.probabilities(piece)
            yield probabilities.conditional.cpu().numpy(), probabilities.joint.cpu().numpy()

    def _best_logits(
        self,
        split: SplitName,
        selectors: Sequence[Selector],
    ) -> Iterable[Tensor]:
        """Logits (n, T) at the best state, or the current one before the first evaluation."""
        if not all(selector.samples for selector in selectors):
            return self.logits(split)
        columns = [self._logits_of(split, selector) for selector in selectors]
        if len(columns) == 1:
            return columns[0]
        return (torch.stack(batches, 1) for batches in zip(*columns, strict=True))

    def _logits_of(self, split: SplitName, selector: Selector) -> Iterable[Tensor]:
        """Logits at a selector's best state: (n,) of its task, or (n, T) if it decides on all."""
        if split == "valid" and selector.logits is not None:
            return torch.split(selector.logits.to(self.device), BATCH)
        logits = self.logits(split, None if selector.current else selector.snapshot)
        if selector.task is None:
            return logits
        return (batch[:, selector.task] for batch in logits)


def measured(
    store: Store,
    split: SplitName,
    predictions: Iterable[BothPredictions],
    resamples: int = 0,
    outcomes: Sequence[str] = (),
    file: Path | None = None,
    part: StoredSplit | None = None,
    kept_rows: bool = False,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Metrics and outcomes of predictions of a split, in order, and their changes on resamples, if
    any.

    Predicted are the rows `part`, by default all, or with `kept_rows` only those whose predictions
    are kept. Joint predictions are written to `file`, see `bench.measure.predictions`.
    """
    data = store.split(split) if part is None else part
    tasks = store.schema.tasks
    plain = store.weights is not None and store.weights.plain
    tally = Tally(tasks, f"{split}/", outcomes=outcomes, plain=plain)
    resampling = Resampling(tasks, split, resamples, outcomes) if resamples else None
    places = kept_places(data, split) if kept_rows else None

    with keeping(file, len(tasks), split, len(data)) as keep_piece:
        start = 0
        for conditional, joint in predictions:
            rows: slice | Ints = slice(start, start + len(joint))
            if places is not None:
                rows = places[rows]
            piece = _predicted(data, rows, conditional, joint)
            tally.add(piece)
            if resampling:
                resampling.add(piece)
            assert piece.units is not None
            keep_piece(joint, piece.units)
            start += len(joint)
    return tally.result(), resampling.result() if resampling else {}


def _predicted(
    data: StoredSplit,
    rows: slice | Ints,
    conditional: Singles,
    joint: Singles,
) -> Predicted:
    """Joins some rows of a split and their predictions."""
    places = rows.start if isinstance(rows, slice) else rows
    units = units_of(np.asarray(data.together[rows]), places)
    return Predicted(
        np.asarray(data.labels_of(rows)),
        np.asarray(data.group[rows]),
        data.weights_of(rows),
        units,
        conditional=conditional,
        joint=joint,
    )


def measured_splits(
    job: Job,
    store: Store,
    predictions: Callable[[SplitName], Iterable[BothPredictions]],
    kept_rows: bool = False,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """`measured` on all splits of a job, from each split's predictions, with its outcomes,
    resamples and files.
    """
    metrics: dict[str, float] = {}
    resampled: dict[str, list[float]] = {}
    outcomes = outcomes_of((*job.objectives, *job.outcomes))
    for split in job.splits:
        resamples, file = job.resamples_of(split), path_of(job, split)
        metrics_of_split, resampled_of_split = measured(
            store, split, predictions(split), resamples, outcomes, file, kept_rows=kept_rows
        )
        metrics |= metrics_of_split
        resampled |= resampled_of_split
    return metrics, resampled


def ranked_in(store: Store) -> frozenset[str]:
    """Tasks that are ranked within groups, on validation and on confirmation rows; see
    `ranked_tasks`.
    """
    rows = slice(MOST_OF_SPLIT)
    ranked = []
    for split in (SEARCH, CONFIRM):
        data = store.split(split)
        labels = joint_labels(np.asarray(data.labels_of(rows)), store.schema)
        ranked.append(ranked_tasks(store.schema.tasks, labels, np.asarray(data.group[rows])))
    return frozenset.intersection(*ranked)


def _copied(batches: Iterable[Tensor], copies: list[Tensor]) -> Iterator[Tensor]:
    """Passes batches on, and appends them to `copies`, in the host's memory."""
    for batch in batches:
        copies.append(batch.cpu())
        yield batch


def _joined(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Joins batches to pieces of at least `PIECE` samples."""
    waiting: list[Tensor] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= PIECE:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)


def costs(
    model: MultiTaskModel,
    schema: Schema,
    latency: bool = True,
) -> dict[str, float]:
    """`cost/parameters`, tables included, and optionally `latencies`."""
    size = {"cost/parameters": float(parameter_count(model))}
    if not latency:
        return size

    def predict(ids: Tensor, dense: Tensor) -> Probabilities:
        return model.probabilities(model(ids, dense))

    model.eval()
    times = latencies(predict, schema, model.embedding.weight.device)
    model.train()
    return size | times


def times_of(
    run: Callable[[], object],
    min_runs: int,
    max_runs: int,
    seconds: float,
) -> list[float]:
    """Seconds of each run; after the first `min_runs`, none starts once `seconds` are used up."""
    times: list[float] = []
    while len(times) < min_runs or (len(times) < max_runs and sum(times) < seconds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return times


@torch.no_grad()
def latencies(
    predict: Callable[[Tensor, Tensor], Probabilities],
    schema: Schema,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Times to score 100 candidates, eager; `bench.serve.package` measures the packaged model.

    `cost/latency_ms` is their median, `cost/latency_p99_ms` their 99th percentile, which with 15 to
    100 runs is close to the maximum.
    """
    slots = torch.tensor([field.slots for field in schema.fields], dtype=torch.int64)
    candidate = torch.tensor(schema.offsets, dtype=torch.int32).repeat_interleave(slots)
    ids = candidate.repeat(LATENCY_BATCH, 1).to(device)
    dense = torch.zeros(LATENCY_BATCH, len(schema.dense), device=device)

    def run() -> None:
        predict(ids, dense).joint.cpu()

    times = times_of(run, LATENCY_MIN_RUNS, LATENCY_MAX_RUNS, LATENCY_SECONDS)
    return {
        "cost/latency_ms": 1e3 * float(np.median(times)),
        "cost/latency_p99_ms": 1e3 * float(np.percentile(times, 99)),
    }
