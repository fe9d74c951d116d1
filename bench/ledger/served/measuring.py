"""Measures outcomes of candidates under fusions: by replicate, on resampled rows, and by
segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Mask
from bench.core.records import Role
from bench.core.schema import Task
from bench.core.system.machine import cores
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.rankings import Rankings
from bench.ledger.fusion import Fusion, FusionTerms
from bench.measure.outcomes import Measure
from bench.measure.predictions import KeptRows, sampled
from bench.measure.resamples import Resamples, drawn_of
from bench.measure.spaces import Labelled


@dataclass(frozen=True)
class Candidate:
    """A configuration with the predictions of its replicates.

    Attributes:
        id: unique among candidates: "7", "7@16000", "trees", "single_task", "current", ...
        name: for people: "trial 7 stopped after 16,000 samples", "boosted trees".
        architecture: "mmoe", "boosted trees", ...
        seeds: of its replicates, at least one; equal seeds are paired across candidates. Empty for
            what depends on no seed, such as a column of the log or a packaged model: it has one
            replicate.
        predictions: (split, place of the replicate) -> (N, T) joint predictions, or (N, 1): a
            score, which is not fused.
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
        today: whether it is what is served today. Else nobody knows what is served, and the
            candidate stands for it at the weights that are best for it.
        model: where it is a score, the candidate whose predictions it is made of, if any is.
    """

    id: str
    fusion: Fusion | None = None
    today: bool = True
    model: str = ""


class Place(NamedTuple):
    """Where a serving point stands in (C, K, ..): its candidate, and which of the settings it
    has.
    """

    candidate: int
    setting: int


class Replicate(NamedTuple):
    """One training of a candidate: its places among the candidates and among that candidate's
    replicates.
    """

    candidate: int
    run: int


JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

RESAMPLES, MANY = 200, 200_000
"""Resamples of a split's rows; half of them where it has more rows than that."""
THREADS = min(8, cores())
"""Sorting and the compiled kernels hold no lock of Python's."""


def measure_of(
    rows: KeptRows,
    outcomes: Sequence[str],
    drawn: Resamples | None,
    slices: Sequence[NDArray[Any]] | None = None,
) -> Measure:
    """The outcomes on the rows of a split that predictions are kept of, each counted by its
    exposure.
    """
    tasks = list(map(Task, rows.tasks, rows.kinds))
    labelled = Labelled(rows.labels, rows.group, rows.counts, rows.units)
    return Measure(tasks, outcomes, labelled, slices, drawn, items=rows.items)


class Meter:
    """Measures candidates on the rows of one split.

    Attributes:
        scores: places of candidates, of those measured so far, that are a score and are not fused.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rows: KeptRows,
        split: str,
        outcomes: Sequence[str],
        resamples: int,
    ) -> None:
        self.split, self._candidates, self._rates = split, candidates, rows.rates
        self.scores: set[int] = set()
        if len(rows.labels) > MANY:
            resamples //= 2
        self.drawn = drawn_of(rows, split, resamples)
        self.measure = measure_of(rows, outcomes, self.drawn)

    def sweep(self, settings: Sequence[Fusion]) -> list[Floats]:
        """By candidate the outcomes (n, K, M) of its replicates."""
        replicates = self._replicates(range(len(self._candidates)))
        by_replicate = in_threads(partial(self._values, settings), replicates)
        by_candidate: list[list[Floats]] = [[] for _ in self._candidates]
        for replicate, values in zip(replicates, by_replicate, strict=True):
            by_candidate[replicate.candidate].append(values)
        return list(map(np.array, by_candidate))

    def rankings(
        self, places: Sequence[Place], settings: Sequence[Fusion], measure: Measure
    ) -> list[Rankings]:
        """By slice of a measure of these rows the serving points at some places."""
        rows_of = by_candidate(places)
        replicates = self._replicates(rows_of)
        resampled = in_threads(
            partial(self._resampled, fusions_of(places, settings), measure), replicates
        )
        by_point: list[list[Floats]] = [[] for _ in places]  # of each replicate (1 + B, slices, M)
        for replicate, by_setting in zip(replicates, resampled, strict=True):
            for row, outcomes in zip(rows_of[replicate.candidate], by_setting, strict=True):
                by_point[row].append(outcomes)
        by_slice = []
        for slice, units in enumerate(measure.units):
            by_slice.append(_rankings(places, by_point, slice, units))
        return by_slice

    def terms(self, candidate: int, sampled: Mask) -> list[FusionTerms]:
        """Those of a candidate's replicates on some of the split's rows, which are this meter's."""
        terms = []
        for replicate in self._replicates([candidate]):
            predictions = self._predictions(replicate)[sampled]
            terms.append(FusionTerms(predictions, self._rates))
        return terms

    def outcomes(self, setting: Fusion, terms: Sequence[FusionTerms]) -> Floats:
        """(M,), means over replicates under one setting."""
        by_replicate = [self.measure.values(_score(replicate, setting))[0] for replicate in terms]
        return np.asarray(np.mean(by_replicate, axis=0))

    def _replicates(self, candidates: Iterable[int]) -> list[Replicate]:
        replicates = []
        for candidate in candidates:
            for run in range(self._candidates[candidate].replicates):
                replicates.append(Replicate(candidate, run))
        return replicates

    def _values(self, settings: Sequence[Fusion], replicate: Replicate) -> Floats:
        """(K, M)."""
        predictions = self._predictions(replicate)
        if predictions.shape[1] == 1:
            self.scores.add(replicate.candidate)
            return np.repeat(self.measure.values(predictions[:, 0]), len(settings), axis=0)
        terms = FusionTerms(predictions, self._rates)
        return np.array([self.measure.values(_score(terms, setting))[0] for setting in settings])

    def _resampled(
        self, fusions: Mapping[int, Sequence[Fusion]], measure: Measure, replicate: Replicate
    ) -> list[Floats]:
        """By fusion of the replicate's candidate (1 + B, slices, M)."""
        terms = FusionTerms(self._predictions(replicate), self._rates)
        return [measure.resampled(_score(terms, fusion)) for fusion in fusions[replicate.candidate]]

    def _predictions(self, replicate: Replicate) -> NDArray[np.float32]:
        candidate = self._candidates[replicate.candidate]
        return np.ascontiguousarray(candidate.predictions(self.split, replicate.run))


def by_candidate(places: Sequence[Place]) -> dict[int, list[int]]:
    """By candidate which of the places are its own."""
    rows: dict[int, list[int]] = {}
    for row, place in enumerate(places):
        rows.setdefault(place.candidate, []).append(row)
    return rows


def fusions_of(places: Sequence[Place], settings: Sequence[Fusion]) -> dict[int, list[Fusion]]:
    """By candidate the settings of the places that are its own."""
    fusions: dict[int, list[Fusion]] = {}
    for place in places:
        fusions.setdefault(place.candidate, []).append(settings[place.setting])
    return fusions


def _score(terms: FusionTerms, setting: Fusion) -> Floats:
    if terms.predictions.shape[1] == 1:  # a score, which is not fused
        return terms.predictions[:, 0].astype(np.float64)
    return terms.fused(setting.kind, setting.weights)


@dataclass(frozen=True)
class SampledMeter:
    """Measures candidates on a sample of a split's rows.

    Attributes:
        sampled: which of the split's rows these are.
    """

    meter: Meter
    sampled: Mask

    def terms(self, candidate: int) -> list[FusionTerms]:
        """Those of a candidate's replicates on the sample."""
        return self.meter.terms(candidate, self.sampled)


def sampled_meters(
    candidates: Sequence[Candidate],
    rows: Mapping[str, KeptRows],
    outcomes: Sequence[str],
    size: int,
) -> list[SampledMeter]:
    """By split a meter of about `size` of its rows, whole units."""
    meters = []
    for split, split_rows in rows.items():
        sample, sampled_rows = sample_of(split_rows, split, size)
        meters.append(SampledMeter(Meter(candidates, sample, split, outcomes, 0), sampled_rows))
    return meters


def sample_of(rows: KeptRows, split: str, size: int) -> tuple[KeptRows, Mask]:
    """About `size` of the rows, whole units, and which."""
    sampled_rows = sampled(rows.units, f"climb {split}", len(rows.units), size)
    if sampled_rows.all():
        return rows, sampled_rows
    sample = replace(
        rows,
        labels=rows.labels[sampled_rows],
        group=rows.group[sampled_rows],
        units=rows.units[sampled_rows],
        codes=rows.codes[sampled_rows],
        logged={name: column[sampled_rows] for name, column in rows.logged.items()},
        weights=None if rows.weights is None else rows.weights[sampled_rows],
        exposure=None if rows.exposure is None else rows.exposure.taken(sampled_rows),
        items={name: column[sampled_rows] for name, column in rows.items.items()},
    )
    return sample, sampled_rows


def _rankings(
    places: Sequence[Place], by_point: Sequence[Sequence[Floats]], slice: int, units: float
) -> Rankings:
    """The points on one slice.

    Args:
        by_point: of each replicate (1 + B, slices, M).
        units: of the slice.
    """
    evidence = []
    for replicates in by_point:
        outcomes = np.array([resampled[:, slice] for resampled in replicates])  # (n, 1 + B, M)
        evidence.append(Evidence(outcomes[:, 0], outcomes[:, 1:] - outcomes[:, :1]))
    candidates, settings = np.array(places).T
    return Rankings(candidates, settings, tuple(evidence), units)


def in_threads(work: Callable[[JobT], ResultT], jobs: Iterable[JobT]) -> list[ResultT]:
    """The results of all jobs, in their order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, jobs))
