"""Measures outcomes of candidates under fusions: by replicate, on resampled rows, and by segment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.records import Role
from bench.core.schema import Task
from bench.measure.labelled import Labelled
from bench.measure.outcomes import Measure
from bench.measure.predictions import KeptRows, sampled
from bench.measure.resamples import Resamples, drawn_of
from bench.results.fusion import Fusion, FusionTerms
from bench.results.served.errors import Points
from bench.system.machine import cores


@dataclass(frozen=True)
class Candidate:
    """A configuration with the predictions of its replicates.

    Attributes:
        id: unique among candidates: "7", "7@16000", "trees", "single_task", "current", ...
        name: for people: "trial 7 stopped after 16,000 samples", "boosted trees".
        architecture: "mmoe", "boosted trees", ...
        seeds: of its replicates, at least one; equal seeds are paired across candidates. Empty for what depends on no
            seed, such as a column of the log or a packaged model: it has one replicate.
        predictions: (split, place of the replicate) -> (N, T) joint predictions, or (N, 1): a score, which is not
            fused.
        digest: of these, by split and replicate; None: it is taken of them.
    """

    id: str
    name: str
    architecture: str
    role: Role
    seeds: tuple[int, ...]
    predictions: Callable[[str, int], NDArray[Any]]
    digest: Callable[[str, int], bytes] | None = None

    @property
    def replicates(self) -> int:
        """How many there are."""
        return max(1, len(self.seeds))


@dataclass(frozen=True)
class CurrentRanking:
    """The point that all are compared with.

    Attributes:
        id: of a candidate.
        fusion: of its predictions; None for a score without fusion.
        today: whether it is what is served today. Else nobody knows what is served, and the candidate stands for it
            at the weights that are best for it.
        model: where it is a score, the candidate whose predictions it is made of, if any is.
    """

    id: str
    fusion: Fusion | None = None
    today: bool = True
    model: str = ""


JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

RESAMPLES, MANY = 200, 200_000
"""Resamples of a split's rows; half of them where it has more rows than that."""
THREADS = min(8, cores())
"""Sorting and the compiled kernels hold no lock of Python's."""


def measure_of(
    rows: KeptRows, outcomes: Sequence[str], drawn: Resamples | None, slices: Sequence[NDArray[Any]] | None = None
) -> Measure:
    """The outcomes on the rows of a split that predictions are kept of, each counted by its exposure."""
    tasks = [Task(name, kind) for name, kind in zip(rows.tasks, rows.kinds, strict=True)]
    labelled = Labelled(rows.labels, rows.group, rows.counts, rows.units)
    return Measure(tasks, outcomes, labelled, slices, drawn, items=rows.items)


class Meter:
    """Measures candidates on the rows of one split.

    Attributes:
        scores: places of candidates, of those measured so far, that are a score and are not fused.
    """

    def __init__(
        self, candidates: Sequence[Candidate], rows: KeptRows, split: str, outcomes: Sequence[str], resamples: int
    ) -> None:
        self.split, self._candidates, self._rates = split, candidates, rows.rates
        self.scores: set[int] = set()
        self.drawn = drawn_of(rows, split, resamples if len(rows.labels) <= MANY else resamples // 2)
        self.measure = measure_of(rows, outcomes, self.drawn)

    def sweep(self, settings: Sequence[Fusion]) -> list[Floats]:
        """By candidate the outcomes (n, K, M) of its replicates."""
        jobs = [(at, run) for at, each in enumerate(self._candidates) for run in range(each.replicates)]
        results = in_threads(lambda job: self._values(*job, settings), jobs)
        by_job = dict(zip(jobs, results, strict=True))
        return [
            np.array([by_job[at, run] for run in range(each.replicates)]) for at, each in enumerate(self._candidates)
        ]

    def parts(self, of: Sequence[int], at: Sequence[int], settings: Sequence[Fusion], measure: Measure) -> list[Points]:
        """By slice the chosen points, candidates `of` under settings at the places `at`, by a measure of these rows."""
        chosen: dict[int, list[int]] = {}
        for point, candidate in enumerate(of):
            chosen.setdefault(candidate, []).append(point)
        jobs = [(each, run) for each in chosen for run in range(self._candidates[each].replicates)]

        def one(job: tuple[int, int]) -> list[Floats]:
            terms = FusionTerms(self._predictions(*job), self._rates)
            return [measure.resampled(_score(terms, settings[at[point]])) for point in chosen[job[0]]]

        runs: list[list[Floats]] = [[] for _ in of]  # by point, of each replicate (1 + B, slices, M)
        for (candidate, _), measured in zip(jobs, in_threads(one, jobs), strict=True):
            for point, drawn in zip(chosen[candidate], measured, strict=True):
                runs[point].append(drawn)
        return [
            _points(of, at, [np.array([drawn[:, place] for drawn in own]) for own in runs], units)
            for place, units in enumerate(measure.units)
        ]

    def terms(self, candidate: int, kept: NDArray[np.bool_]) -> list[FusionTerms]:
        """Those of a candidate's replicates on some of the split's rows, which are this meter's."""
        each = self._candidates[candidate]
        return [FusionTerms(self._predictions(candidate, run)[kept], self._rates) for run in range(each.replicates)]

    def outcomes(self, setting: Fusion, terms: Sequence[FusionTerms]) -> Floats:
        """(M,), means over replicates under one setting."""
        by_seed = [self.measure.values(_score(own, setting))[0] for own in terms]
        return np.asarray(np.mean(by_seed, axis=0))

    def _values(self, candidate: int, run: int, settings: Sequence[Fusion]) -> Floats:
        predictions = self._predictions(candidate, run)
        if predictions.shape[1] == 1:
            self.scores.add(candidate)
            return np.repeat(self.measure.values(predictions[:, 0]), len(settings), axis=0)
        terms = FusionTerms(predictions, self._rates)
        return np.array([self.measure.values(_score(terms, each))[0] for each in settings])

    def _predictions(self, candidate: int, run: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(self._candidates[candidate].predictions(self.split, run))


def _score(terms: FusionTerms, setting: Fusion) -> Floats:
    if terms.predictions.shape[1] == 1:  # a score, which is not fused
        return terms.predictions[:, 0].astype(np.float64)
    return terms.fused(setting.kind, setting.weights)


def meter_of(
    candidates: Sequence[Candidate], rows: KeptRows, split: str, outcomes: Sequence[str], most: int
) -> tuple[Meter, NDArray[np.bool_]]:
    """Measures about `most` of the rows, whole units; and which."""
    few, kept = sample_of(rows, split, most)
    return Meter(candidates, few, split, outcomes, 0), kept


def sample_of(rows: KeptRows, split: str, most: int) -> tuple[KeptRows, NDArray[np.bool_]]:
    """About `most` of the rows, whole units, and which."""
    kept = sampled(rows.units, f"climb {split}", len(rows.units), most)
    if kept.all():
        return rows, kept
    few = replace(
        rows, labels=rows.labels[kept], group=rows.group[kept], units=rows.units[kept], codes=rows.codes[kept],
        logged={name: each[kept] for name, each in rows.logged.items()},
        weights=None if rows.weights is None else rows.weights[kept],
        exposure=None if rows.exposure is None else rows.exposure.taken(kept),
        items={name: each[kept] for name, each in rows.items.items()},
    )  # fmt: skip
    return few, kept


def _points(of: Sequence[int], at: Sequence[int], drawn: Sequence[Floats], units: float) -> Points:
    """Args: `drawn`: by point (n, 1 + B, M)."""
    apart = [each[:, 1:] - each[:, :1] for each in drawn]
    moved = np.stack([each.mean(axis=0) for each in apart], axis=1)
    spread = (((each - each.mean(axis=0)) ** 2).sum(axis=0) / max(1, len(each) - 1) for each in apart)
    own = [np.nan_to_num(each).mean(axis=0) if len(each) else np.zeros(each.shape[1]) for each in spread]
    return Points(np.array(of), np.array(at), tuple(each[:, 0] for each in drawn), moved, np.array(own), units)


def in_threads(work: Callable[[JobT], ResultT], jobs: Iterable[JobT]) -> list[ResultT]:
    """The results of all jobs, in their order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, jobs))
