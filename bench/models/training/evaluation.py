"""Measures a model: its predictions on a split, and its costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

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
LATENCY_RUNS = 15  # minimum
LATENCY_MOST = 100
LATENCY_SECONDS = (
    0.02  # total time after which no more runs start: a search measures each of its trials
)
State = Mapping[str, Tensor]
Measured = tuple[list[int], dict[str, float]]
BothPredictions = tuple[NDArray[np.float32], NDArray[np.float32]]
"""The next rows' predictions (n, T): conditional on the parent, and joint with all ancestors, see
`bench.measure.tally`."""


class Evaluation:
    """Measures states of one model on the splits of a store, in pieces: memory does not grow with a
    split.

    Attributes:
        measured: split -> the last measured state, as its selectors' samples, and its metrics; no
            state is measured twice.
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
        self.store, self.model, self.device, self.outcomes = store, model, device, tuple(outcomes)
        self.measured: dict[str, Measured] = {}
        self.seconds, self.samples = 0.0, 0
        self.resampled: dict[str, list[float]] = {}
        self._open: dict[str, tuple[StoredSplit, Feed]] = {}

    def judge(self, selectors: Sequence[Selector], samples: int) -> dict[str, float]:
        """Measures the current state on validation and passes the metrics to the selectors."""
        kept: list[Tensor] = []
        separate = any(selector.task is not None for selector in selectors)
        metrics = self.measure(
            "valid", _kept(self.logits("valid"), kept) if separate else self.logits("valid")
        )
        for selector in selectors:
            if selector.judge(metrics, samples) and selector.task is not None:
                selector.logits = (
                    torch.cat([logits[:, selector.task] for logits in kept])
                    if kept
                    else torch.empty(0)
                )
        if all(selector.current for selector in selectors):
            self.measured["valid"] = ([selector.samples for selector in selectors], metrics)
        return metrics

    def best(
        self,
        split: SplitName,
        selectors: Sequence[Selector],
        resamples: int = 0,
        keep: Path | None = None,
    ) -> dict[str, float]:
        """Every task's metrics at the best state; at each task's own best if tasks have selectors
        of their own.

        Before the first evaluation, those of the current state. With resamples, see `resampled`;
        `keep` is a file for the joint predictions.
        """
        state = [selector.samples for selector in selectors]
        if not all(state):
            return self.measure(split, self.logits(split), resamples, keep)
        if resamples or keep or split not in self.measured or self.measured[split][0] != state:
            self.measured[split] = (
                state,
                self.measure(split, self._best(split, selectors), resamples, keep),
            )
        return self.measured[split][1]

    def glimpse(self, part: StoredSplit) -> dict[str, float]:
        """Every task's metrics of the current state on a part of validation, without recording
        them.
        """
        started = time.perf_counter()
        logits = self._logits(feed(part, self.device))
        metrics, _ = measured(
            self.store, "valid", self._predictions(logits), outcomes=self.outcomes, part=part
        )
        self.seconds += time.perf_counter() - started
        return metrics

    def measure(
        self,
        split: SplitName,
        logits: Iterable[Tensor],
        resamples: int = 0,
        keep: Path | None = None,
    ) -> dict[str, float]:
        """Every task's metrics of a split's logits, in any pieces (n, T); see `measured`."""
        started = time.perf_counter()
        metrics, resampled = measured(
            self.store, split, self._predictions(logits), resamples, self.outcomes, keep
        )
        self.resampled |= resampled
        self.seconds += time.perf_counter() - started
        return metrics

    def predictions(
        self, split: SplitName, selectors: Sequence[Selector]
    ) -> Iterator[BothPredictions]:
        """Predictions of a split at the best state, see `best`, piece by piece in its order."""
        return self._predictions(self._best(split, selectors))

    def _predictions(self, logits: Iterable[Tensor]) -> Iterator[BothPredictions]:
        for piece in _joined(logits):
            probabilities = self.model.probabilities(piece)
            yield probabilities.conditional.cpu().numpy(), probabilities.joint.cpu().numpy()

    def _best(self, split: SplitName, selectors: Sequence[Selector]) -> Iterable[Tensor]:
        """Logits (n, T) at the best state, or the current one before the first evaluation."""
        if not all(selector.samples for selector in selectors):
            return self.logits(split)
        columns = [self._of(split, selector) for selector in selectors]
        return (
            columns[0]
            if len(columns) == 1
            else (torch.stack(c, 1) for c in zip(*columns, strict=True))
        )

    def logits(self, split: SplitName, state: State | None = None) -> Iterator[Tensor]:
        """Logits (n, T) of a split, batch by batch in order; with the current weights, or those of
        a state.
        """
        return self._logits(self._split(split)[1], state)

    def _logits(self, batches: Feed, state: State | None = None) -> Iterator[Tensor]:
        training = self.model.training
        self.model.eval()
        for batch in batches.in_order(BATCH):
            with torch.no_grad():
                inputs = batch.ids, batch.dense
                logits = (
                    self.model(*inputs)
                    if state is None
                    else functional_call(self.model, dict(state), inputs)
                )
            self.samples += len(logits)
            yield logits.float()
        self.model.train(training)

    def _of(self, split: SplitName, selector: Selector) -> Iterable[Tensor]:
        """Logits at a selector's best state: (n,) of its task, or (n, T) if it decides on all."""
        if split == "valid" and selector.logits is not None:
            return torch.split(selector.logits.to(self.device), BATCH)
        logits = self.logits(split, None if selector.current else selector.snapshot)
        return logits if selector.task is None else (batch[:, selector.task] for batch in logits)

    def _split(self, name: SplitName) -> tuple[StoredSplit, Feed]:
        if name not in self._open:
            split = self.store.split(name)
            self._open[name] = (split, feed(split, self.device))
        return self._open[name]


def measured(
    store: Store,
    split: SplitName,
    predictions: Iterable[BothPredictions],
    resamples: int = 0,
    outcomes: Sequence[str] = (),
    keep: Path | None = None,
    part: StoredSplit | None = None,
    kept: bool = False,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Metrics and outcomes of predictions of a split, in order, and their changes on resamples, if
    any.

    Predicted are the rows `part`, by default all, or if `kept` only those whose predictions are
    kept; `keep` is a file for joint predictions, see `bench.measure.predictions`.
    """
    data, tasks, start = part or store.split(split), store.schema.tasks, 0
    tally = Tally(
        tasks,
        f"{split}/",
        outcomes=outcomes,
        plain=store.weights is not None and store.weights.plain,
    )
    resampling = Resampling(tasks, split, resamples, outcomes) if resamples else None
    places = kept_places(data, split) if kept else None
    with keeping(keep, len(tasks), split, len(data)) as keep_piece:
        for conditional, joint in predictions:
            taken = slice(start, start + len(joint))
            rows = taken if places is None else places[taken]
            labels, group = np.asarray(data.labels_of(rows)), np.asarray(data.group[rows])
            units = units_of(
                np.asarray(data.together[rows]), start if isinstance(rows, slice) else rows
            )
            piece = Predicted(
                labels, group, data.weights_of(rows), units, conditional=conditional, joint=joint
            )
            tally.add(piece)
            if resampling:
                resampling.add(piece)
            keep_piece(joint, units)
            start += len(joint)
    return tally.result(), resampling.result() if resampling else {}


def ranked_in(store: Store) -> frozenset[str]:
    """Tasks that are ranked within groups, on validation and on confirmation rows; see
    `ranked_tasks`.
    """
    ranked = []
    for split in (SEARCH, CONFIRM):
        data, rows = store.split(split), slice(MOST_OF_SPLIT)
        labels = joint_labels(np.asarray(data.labels_of(rows)), store.schema)
        ranked.append(ranked_tasks(store.schema.tasks, labels, np.asarray(data.group[rows])))
    return frozenset.intersection(*ranked)


def measured_splits(
    job: Job,
    store: Store,
    predictions: Callable[[SplitName], Iterable[BothPredictions]],
    kept: bool = False,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """`measured` on all splits of a job, from each split's predictions, with its outcomes,
    resamples and files.
    """
    metrics: dict[str, float] = {}
    resampled: dict[str, list[float]] = {}
    outcomes = outcomes_of((*job.objectives, *job.outcomes))
    for split in job.splits:
        resamples, keep = job.resamples_of(split), path_of(job, split)
        of_split, moved = measured(
            store, split, predictions(split), resamples, outcomes, keep, kept=kept
        )
        metrics |= of_split
        resampled |= moved
    return metrics, resampled


def _kept(logits: Iterable[Tensor], kept: list[Tensor]) -> Iterator[Tensor]:
    for batch in logits:
        kept.append(batch.cpu())
        yield batch


def _joined(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= PIECE:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)


def costs(model: MultiTaskModel, schema: Schema, latency: bool = True) -> dict[str, float]:
    """`cost/parameters`, tables included, and optionally `latencies`."""
    size = {"cost/parameters": float(parameter_count(model))}
    if not latency:
        return size
    model.eval()
    times = latencies(
        lambda ids, dense: model.probabilities(model(ids, dense)),
        schema,
        model.embedding.weight.device,
    )
    model.train()
    return size | times


def times_of(run: Callable[[], object], least: int, most: int, seconds: float) -> list[float]:
    """Seconds of each of `least` to `most` calls; beyond the least, none starts after `seconds` in
    all.
    """
    times: list[float] = []
    while len(times) < least or (len(times) < most and sum(times) < seconds):
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
    ids = torch.tensor(schema.offsets, dtype=torch.int32).repeat_interleave(
        torch.tensor([field.slots for field in schema.fields], dtype=torch.int64)
    )
    ids, dense = (
        ids.repeat(LATENCY_BATCH, 1).to(device),
        torch.zeros(LATENCY_BATCH, len(schema.dense), device=device),
    )
    times = times_of(
        lambda: predict(ids, dense).joint.cpu(), LATENCY_RUNS, LATENCY_MOST, LATENCY_SECONDS
    )
    return {
        "cost/latency_ms": 1e3 * float(np.median(times)),
        "cost/latency_p99_ms": 1e3 * float(np.percentile(times, 99)),
    }
