"""A sampler by expected hypervolume improvement at full length, under a Gaussian process over all
rungs.

With one or two objectives the added hypervolume is exact: for two, a sum over the strips between
the front's points. With more, polar coordinates around an origin give it up to a constant (Deng and
Zhang 2019; Zhang and Golovin, ICML 2020): the mean over directions d in the positive orthant of max
over points of min over objectives of (max(0, y - r) / d)^M. A point adds the mean over directions
of its lead over the front.

Values at a rung are moved to full length by the trend of its steps (`ranking`); the process models
how a configuration departs from that trend (`gaussian`). The sampler proposes the candidate that is
expected to add most hypervolume to all measured values, at any rung.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import ThreadpoolController

from bench.core.arrays import Floats, Ints
from bench.core.objectives import Objective
from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.ledger.pareto import nondominated
from bench.search.encoding import Encoding
from bench.search.gaussian import Kernel, Posterior
from bench.search.plan import SearchPlan
from bench.search.promotion import Order, full_length, to_full_length
from bench.search.samplers import GP
from bench.search.standing import JobHistory


class Warp:
    """Maps values (N, M), larger is better, to a mean of 0 and a standard deviation of 1, and back.

    Random configurations have a long tail of poor ones, whose differences would hide those among
    the good. Above the best the scale continues linearly.
    """

    def __init__(self, values: Floats) -> None:
        self._best = values.max(axis=0)
        behind = self._best - values
        scale = np.maximum(np.median(behind, axis=0), 1e-9 * behind.max(axis=0))
        self._scale = np.where(scale > 0, scale, 1.0)
        logs = self._log(values)
        self._mean, self._spread = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-9)

    def to(self, values: Floats) -> Floats:
        """Warps values."""
        return np.asarray((self._log(values) - self._mean) / self._spread)

    def back(self, warped: Floats) -> Floats:
        """Inverse of `to`."""
        logs = warped * self._spread + self._mean
        behind = np.where(logs < 0, np.expm1(np.clip(-logs, 0, 50)), -logs)
        return np.asarray(self._best - behind * self._scale)

    def _log(self, values: Floats) -> Floats:
        behind = (self._best - values) / self._scale
        return np.asarray(np.where(behind > 0, -np.log1p(np.maximum(behind, 0)), -behind))


DIRECTIONS = 96


def directions(objectives: int) -> Floats:
    """Unit vectors spread evenly over the positive orthant: (DIRECTIONS, M); the same in every
    call.
    """
    normal = np.abs(np.random.default_rng(0).normal(size=(DIRECTIONS, objectives)))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def reach(gains: Floats, unit_vectors: Floats) -> Floats:
    """Distance that points reach in each direction, to the power of M: gains (.., M) -> (..,
    directions).
    """
    ahead = np.maximum(gains, 0.0)
    nearest = ahead[..., 0, None] / unit_vectors[:, 0]
    for objective in range(1, unit_vectors.shape[1]):
        np.minimum(nearest, ahead[..., objective, None] / unit_vectors[:, objective], out=nearest)
    nearest **= unit_vectors.shape[1]
    return np.asarray(nearest)


def expected(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """Mean hypervolume that points add.

    Args:
        samples: (S, N, M) of N points' values.
        front: (F, M).
        reference: (M,).

    Returns:
        (N,), in the same unit for all points.
    """
    front = front[(front > reference).all(axis=1)]
    if len(reference) == 1:
        best = front.max(initial=reference[0])
        return np.asarray((samples[..., 0] - best).clip(0).mean(axis=0))
    if len(reference) == 2:
        return _strips(samples, front[np.argsort(front[:, 0])], reference)
    return _directional(samples, front, reference)


def _directional(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """`expected` of three or more objectives, up to a constant; the front beats the reference."""
    # A distant front fills few directions around the origin, so the origin is only the front's own
    # range away from it. Where the front has no range, as with one point, the origin is the
    # reference.
    if len(front):
        low, high = front.min(axis=0), front.max(axis=0)
    else:
        low, high = reference, reference + 1
    origin = np.where(high > low, np.maximum(reference, low - (high - low)), reference)
    span = high - origin
    unit_vectors = directions(len(reference))
    ahead = reach((samples - origin) / span, unit_vectors)
    if len(front):
        ahead -= reach((front - origin) / span, unit_vectors).max(axis=0)
    return np.asarray(np.maximum(ahead, 0.0, out=ahead).mean(axis=(0, 2)))


def _strips(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """`expected` of two objectives; the front is sorted by the first."""
    strip_starts = np.concatenate([reference[:1], front[:, 0]])
    strip_ends = np.append(strip_starts[1:], np.inf)
    covered = np.append(np.maximum.accumulate(front[::-1, 1])[::-1], reference[1])
    width = np.minimum(samples[..., 0, None], strip_ends)
    width -= strip_starts
    height = samples[..., 1, None] - covered
    np.maximum(width, 0.0, out=width)
    np.maximum(height, 0.0, out=height)
    return np.asarray(np.einsum("snf,snf->n", width, height) / len(samples))


def merit(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """`expected`; below 0 where no sample adds anything, the lower the further the best of them is
    from the front.

    So candidates are ordered even if a few samples do not show their improvement.
    """
    gains = expected(samples, front, reference)
    without_gain = np.flatnonzero(gains <= 0)
    best = samples[:, without_gain].max(axis=0)
    span = np.ptp(front, axis=0) + 1e-3 * np.abs(front - reference).max(axis=0)
    span = np.where(span > 0, span, 1.0)
    # The common increase of all objectives that makes a point non-dominated (the additive epsilon).
    behind = ((front - best[:, None]) / span).min(axis=2).max(axis=1)
    behind = np.maximum(behind, ((reference - best) / span).max(axis=1))
    penalty = np.where(behind > 0, 1 + behind, np.exp(np.clip(behind, -50, 0)))
    gains[without_gain] = -penalty
    return gains


STARTUP = 10
"""Trials drawn at random before the model is used."""
BEST, OTHERS, ROWS, FITTED = 160, 64, 256, 128
"""The best trials and random others that are modelled, the maximum of their results, and how many
of these the kernel's settings are fitted on."""
PENDING = 64
"""Number of unfinished trials that a proposal considers."""
PARENTS, CANDIDATES, ROUNDS, SAMPLES = 16, 96, 2, 16
"""CANDIDATES candidates are random, as many are children of the PARENTS best trials; each of ROUNDS
adds as many neighbours of the best candidates. Their improvement is a mean over SAMPLES draws."""

NEIGHBOURS_OF = 8
"""Number of the best candidates whose neighbours a round adds."""
FAILED, DOUBT = 64, 1.0
"""Number of failed trials that are modelled, the last ones, each with the worst value; and their
noise variance, that of the prior. So one failure says little, and several close to each other are
avoided."""

Results = Sequence[Sequence[Sequence[float]] | None]
HashableConfig = frozenset[tuple[str, Scalar]]


def _hashable(config: Mapping[str, Scalar]) -> HashableConfig:
    return frozenset(config.items())


@dataclass
class Pool:
    """Candidates with the same pinned parameters: their rows (N, columns) and gains (N,)."""

    rows: Floats
    gains: Floats

    def best_first(self) -> Ints:
        """Indices of the rows in the order of their gains."""
        return np.argsort(-self.gains, kind="stable")

    def add(self, rows: Floats, gains: Floats) -> None:
        """Appends candidates."""
        self.rows = np.concatenate([self.rows, rows])
        self.gains = np.concatenate([self.gains, gains])

    def remove(self, index: int) -> None:
        """Removes one candidate."""
        self.rows, self.gains = np.delete(self.rows, index, axis=0), np.delete(self.gains, index)


@dataclass(frozen=True)
class Belief:
    """The model of a space's configurations, given some trials.

    Attributes:
        front: the non-dominated measured values; larger is better.
        parents: rows of the best trials.
        tried: configurations that are not proposed again.
    """

    shape: Encoding
    posterior: Posterior
    warp: Warp
    front: Floats
    reference: Floats
    parents: Floats
    tried: frozenset[HashableConfig]

    def propose_batch(
        self, seed: int, pinned: Sequence[Mapping[str, Scalar]]
    ) -> list[dict[str, Scalar]]:
        """Proposes searched parameters for each of `pinned`.

        Each is chosen as if the previous ones had their expected values (the kriging believer of
        Ginsbourger et al., 2010). Proposals with the same pinned parameters share their candidates,
        of which only the best are evaluated again. A tried configuration is proposed again only if
        all candidates were tried.
        """
        rng = np.random.default_rng(seed)
        half = rng.normal(size=(SAMPLES // 2, len(self.reference)))
        normal = np.concatenate([half, -half])
        belief = self
        configs: list[dict[str, Scalar]] = []
        tried = set(self.tried)
        pools: dict[HashableConfig, Pool] = {}
        for parameters in pinned:
            key = _hashable(parameters)
            if key in pools:
                pool, neighbours = pools[key], CANDIDATES // 2
                belief._evaluate_best_again(pool, normal)
            else:
                rows, neighbours = self._candidates(parameters, rng), CANDIDATES
                pool = pools[key] = Pool(rows, belief._gains(rows, normal))
            for _ in range(ROUNDS):
                best = pool.rows[pool.best_first()[:NEIGHBOURS_OF]]
                origins = best[np.arange(neighbours) % len(best)]
                varied = self.shape.vary(origins, 0.1, rng, parameters)
                pool.add(varied, belief._gains(varied, normal))
            chosen = self._first_untried(pool, parameters, tried)
            row = pool.rows[[chosen]]
            pool.remove(chosen)
            configs.append(self.shape.config(row[0], parameters))
            tried.add(_hashable(configs[-1]))
            if len(configs) < len(pinned):
                belief = belief.believing(row)
        return configs

    def believing(self, rows: Floats) -> Belief:
        """The belief if rows (N, columns) had their expected values."""
        if not len(rows):
            return self
        mean, _ = self.posterior.predict(rows)
        return replace(
            self,
            posterior=self.posterior.believing(rows),
            front=np.concatenate([self.front, self.warp.back(mean)]),
        )

    def _candidates(self, pinned: Mapping[str, Scalar], rng: np.random.Generator) -> Floats:
        """Random rows, and as many varied children of the parents."""
        first, second = self.parents[rng.integers(len(self.parents), size=(2, CANDIDATES))]
        crossed = self.shape.cross(first, second, rng, pinned)
        children = self.shape.vary(crossed, 0.15, rng, pinned)
        return np.concatenate([self.shape.draw(CANDIDATES, rng, pinned), children])

    def _evaluate_best_again(self, pool: Pool, normal: Floats) -> None:
        best = pool.best_first()[:CANDIDATES]
        pool.gains = np.full(len(pool.rows), -np.inf)
        pool.gains[best] = self._gains(pool.rows[best], normal)

    def _first_untried(
        self, pool: Pool, pinned: Mapping[str, Scalar], tried: set[HashableConfig]
    ) -> int:
        """Index of the best row whose configuration was not tried; of the best if all were."""
        order = pool.best_first().tolist()
        for index in order:
            if _hashable(self.shape.config(pool.rows[index], pinned)) not in tried:
                return int(index)
        return int(order[0])

    def _gains(self, rows: Floats, normal: Floats) -> Floats:
        mean, deviation = self.posterior.predict(rows)
        samples = self.warp.back(mean + normal[:, None] * deviation)
        return merit(samples, self.front, self.reference)


@dataclass(frozen=True)
class Evidence:
    """Finite results that the process models, R of them, at most `ROWS`.

    Attributes:
        trials: index of each result's trial, among the modelled ones: (R,).
        lowness: of its rung, 0 at full length: (R,).
        values: moved to full length, larger is better: (R, M).
    """

    trials: Ints
    lowness: Floats
    values: Floats


class GaussianSampler:
    """Proposes configurations of a shape. It is stateless: a proposal depends only on its
    arguments.

    Args:
        rungs: training samples at each; with one, every trial is at full length.
        reference: of the hypervolume, by objective.
    """

    def __init__(
        self,
        shape: Encoding,
        objectives: tuple[Objective, ...],
        reference: Mapping[str, float],
        rungs: Sequence[int],
    ) -> None:
        self.shape = shape
        self._kernel = Kernel(self.shape.options, len(objectives))
        self._objectives, self._reference = objectives, reference
        self._signs = np.array([objective.sign for objective in objectives])
        self._worst = self._signs * [reference[objective.name] for objective in objectives]
        span = math.log(rungs[-1] / rungs[0]) or 1.0
        self._lowness = [math.log(rungs[-1] / rung) / span for rung in rungs]

    def propose_batch(
        self,
        results: Results,
        configs: Sequence[Mapping[str, Scalar]],
        seed: int,
        pinned: Sequence[Mapping[str, Scalar]],
    ) -> list[dict[str, Scalar]]:
        """Proposes the next configurations, one for each of `pinned`, from one fit.

        Args:
            results: for each earlier trial its objectives at each rung that it reached, None for a
                failed trial. Trials without results, and those that only `configs` has, are
                unfinished: proposals keep away from the last `PENDING`.
            configs: their configurations.
            seed: of these proposals.
            pinned: given parameters of each proposal.
        """
        belief = self.learn(results, configs, seed)
        if belief is not None:
            return belief.propose_batch(seed, pinned)
        rng = np.random.default_rng(seed)
        proposals = []
        for parameters in pinned:
            row = self.shape.draw(1, rng, parameters)[0]
            proposals.append(self.shape.config(row, parameters))
        return proposals

    def learn(
        self, results: Results, configs: Sequence[Mapping[str, Scalar]], seed: int
    ) -> Belief | None:
        """Fits the model; None if trials are too few. `seed` draws which of many trials are
        modelled.

        Failed trials count as the worst, with much noise. Without them, a search would stay where
        trials fail if values rise towards there.
        """
        reached = []
        reached_configs = []
        failed_configs = []
        for config, rungs in zip(configs, results, strict=False):
            if rungs:
                reached.append(rungs)
                reached_configs.append(config)
            elif rungs is None:
                failed_configs.append(config)
        values = full_length(reached, len(self._signs))
        order = Order(values, self._objectives, self._reference)
        if order.measured < STARTUP:
            return None
        rng = np.random.default_rng(derive(seed, "modelled"))
        modelled = _modelled(order, rng).tolist()
        evidence = self._evidence(reached, modelled)
        encoded = self.shape.rows([reached_configs[trial] for trial in modelled])
        failed = self.shape.rows(failed_configs[-FAILED:])
        fitted = np.sort(rng.permutation(len(evidence.trials))[:FITTED])
        warp = Warp(evidence.values)
        belief = Belief(
            self.shape,
            self._posterior(evidence, warp, encoded, fitted, failed),
            warp,
            self._front(reached),
            self._worst,
            encoded[:PARENTS],
            frozenset(map(_hashable, configs)),
        )
        pending = _unfinished(results, configs)[-PENDING:]
        return belief.believing(self.shape.rows(pending))

    def _evidence(
        self, results: Sequence[Sequence[Sequence[float]]], modelled: Sequence[int]
    ) -> Evidence:
        extrapolation = to_full_length(results, len(self._signs))
        trials, lowness, values = [], [], []
        for index, trial in enumerate(modelled):
            for rung, objectives in enumerate(results[trial]):
                if np.isfinite(objectives).all():
                    trials.append(index)
                    lowness.append(self._lowness[rung])
                    values.append(extrapolation.predict(rung, np.asarray(objectives)) * self._signs)
        return Evidence(np.array(trials[:ROWS]), np.array(lowness[:ROWS]), np.array(values[:ROWS]))

    def _posterior(
        self, evidence: Evidence, warp: Warp, encoded: Floats, fitted: Ints, failed: Floats
    ) -> Posterior:
        """The process given the evidence, fitted on some of it, and given failed rows."""
        values = warp.to(evidence.values)
        worst = np.tile(values.min(axis=0), (len(failed), 1))
        return Posterior(
            self._kernel,
            np.concatenate([encoded[evidence.trials], failed]),
            np.concatenate([evidence.lowness, np.zeros(len(failed))]),
            np.concatenate([values, worst]),
            fitted,
            np.repeat([0.0, DOUBT], [len(values), len(failed)]),
        )

    def _front(self, results: Sequence[Sequence[Sequence[float]]]) -> Floats:
        measured = np.concatenate([np.asarray(rungs) for rungs in results])
        return np.asarray(measured[nondominated(measured, self._objectives)] * self._signs)


def _modelled(order: Order, rng: np.random.Generator) -> Ints:
    """The best trials, and random others with finite values."""
    best = np.arange(min(BEST, order.measured))
    below_best = len(best) + rng.permutation(order.measured - len(best))
    return order.rows_at(np.concatenate([best, below_best[:OTHERS]]))


def _unfinished(
    results: Results, configs: Sequence[Mapping[str, Scalar]]
) -> list[Mapping[str, Scalar]]:
    """Configurations of the trials without a result that have not failed."""
    unfinished = []
    for config, rungs in zip(configs, results, strict=False):
        if rungs is not None and not rungs:
            unfinished.append(config)
    return [*unfinished, *configs[len(results) :]]


BATCH = 4
"""Trials proposed together: fitting the model takes three quarters of a proposal's time."""


class Proposals:
    """The proposals of one plan. The same history gives the same proposals; the cache only
    saves time.

    Trials are proposed in batches by number: 0 to 3, 4 to 7 and so on. A batch uses the outcomes
    recorded when its first trial started, so a search resumed within a batch proposes the rest as
    before.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self._seed, self._openings = plan.seed, plan.openings
        self._sampler: GaussianSampler | None = None
        if plan.sampler == GP:
            shape = Encoding(plan.space, plan.tasks)
            self._sampler = GaussianSampler(
                shape, plan.objectives, plan.rules.reference, plan.rules.rungs
            )
        self._threads = ThreadpoolController()
        self._first, self._batch = -1, list[dict[str, Scalar]]()

    def next(
        self, history: JobHistory, configs: Sequence[Mapping[str, Scalar]]
    ) -> Mapping[str, Scalar]:
        """Parameters of the trial after those in the history, with these `configs`; Optuna's
        sampler adds the rest.
        """
        number = history.trials
        if self._sampler is None:
            return self._opening(number)
        first = number - number % BATCH
        if first != self._first:
            pinned = [self._opening(trial) for trial in range(first, first + BATCH)]
            with self._threads.limit(limits=1):  # matrices are too small for several threads
                self._batch = self._sampler.propose_batch(
                    history.results_known_to(first),
                    configs[:first],
                    derive(self._seed, "proposal", first),
                    pinned,
                )
            self._first = first
        return self._batch[number - first]

    def _opening(self, number: int) -> Mapping[str, Scalar]:
        return self._openings[number] if number < len(self._openings) else {}
