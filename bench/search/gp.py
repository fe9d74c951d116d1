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

from bench.core.arrays import Floats
from bench.core.objectives import Objective
from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.ledger.pareto import nondominated
from bench.search.gaussian import Encoding, Kernel, Posterior
from bench.search.plan import SearchPlan
from bench.search.ranking import Order, full_length, to_full_length
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


def reach(gains: Floats, of: Floats) -> Floats:
    """Distance that points reach in each direction, to the power of M: gains (.., M) -> (..,
    directions).
    """
    ahead = np.maximum(gains, 0.0)
    nearest = ahead[..., 0, None] / of[:, 0]
    for objective in range(1, of.shape[1]):
        np.minimum(nearest, ahead[..., objective, None] / of[:, objective], out=nearest)
    nearest **= of.shape[1]
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
        return np.asarray((samples[..., 0] - front.max(initial=reference[0])).clip(0).mean(axis=0))
    if len(reference) == 2:
        return _strips(samples, front[np.argsort(front[:, 0])], reference)
    # A distant front fills few directions around the origin, so the origin is only the front's own
    # range away from it. Where the front has no range, as with one point, the origin is the
    # reference.
    low, high = (front.min(axis=0), front.max(axis=0)) if len(front) else (reference, reference + 1)
    origin = np.where(high > low, np.maximum(reference, low - (high - low)), reference)
    span, of = high - origin, directions(len(reference))
    there = reach((front - origin) / span, of).max(axis=0) if len(front) else np.zeros(len(of))
    ahead = reach((samples - origin) / span, of)
    ahead -= there
    return np.asarray(np.maximum(ahead, 0.0, out=ahead).mean(axis=(0, 2)))


def _strips(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """`expected` of two objectives; the front is sorted by the first."""
    left = np.concatenate([reference[:1], front[:, 0]])
    covered = np.append(np.maximum.accumulate(front[::-1, 1])[::-1], reference[1])
    width = np.minimum(samples[..., 0, None], np.append(left[1:], np.inf))
    width -= left
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
    none = np.flatnonzero(gains <= 0)
    best = samples[:, none].max(axis=0)
    span = np.ptp(front, axis=0) + 1e-3 * np.abs(front - reference).max(axis=0)
    span = np.where(span > 0, span, 1.0)
    # The common increase of all objectives that makes a point non-dominated (the additive epsilon).
    behind = ((front - best[:, None]) / span).min(axis=2).max(axis=1)
    behind = np.maximum(behind, ((reference - best) / span).max(axis=1))
    gains[none] = -np.where(behind > 0, 1 + behind, np.exp(np.clip(behind, -50, 0)))
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

FAILED, DOUBT = 64, 1.0
"""Number of failed trials that are modelled, the last ones, each with the worst value; and their
noise variance, that of the prior. So one failure says little, and several close to each other are
avoided."""

Results = Sequence[Sequence[Sequence[float]] | None]
HashableConfig = frozenset[tuple[str, Scalar]]
"""A hashable configuration."""


def _named(config: Mapping[str, Scalar]) -> HashableConfig:
    return frozenset(config.items())


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
        belief, configs = self, []
        tried = set(self.tried)
        pools: dict[tuple[tuple[str, Scalar], ...], tuple[Floats, Floats]] = {}
        for given in pinned:
            key = tuple(sorted(given.items(), key=lambda item: item[0]))
            rows, gains, near = (
                *pools.get(key, (np.empty((0, self.parents.shape[1])), np.empty(0))),
                CANDIDATES,
            )
            if len(rows):
                again, near = np.argsort(-gains, kind="stable")[:CANDIDATES], CANDIDATES // 2
                gains = np.full(len(rows), -np.inf)
                gains[again] = belief._gains(rows[again], normal)
            else:
                first, second = self.parents[rng.integers(len(self.parents), size=(2, CANDIDATES))]
                children = self.shape.vary(
                    self.shape.cross(first, second, rng, given), 0.15, rng, given
                )
                rows = np.concatenate([self.shape.draw(CANDIDATES, rng, given), children])
                gains = belief._gains(rows, normal)
            for _ in range(ROUNDS):
                best = rows[np.argsort(-gains, kind="stable")[:8]]
                varied = self.shape.vary(best[np.arange(near) % len(best)], 0.1, rng, given)
                rows, gains = (
                    np.concatenate([rows, varied]),
                    np.concatenate([gains, belief._gains(varied, normal)]),
                )
            order = np.argsort(-gains, kind="stable").tolist()
            at = next(
                (n for n in order if _named(self.shape.config(rows[n], given)) not in tried),
                order[0],
            )
            tried.add(_named(self.shape.config(rows[at], given)))
            chosen, pools[key] = rows[[at]], (np.delete(rows, at, axis=0), np.delete(gains, at))
            configs.append(self.shape.config(chosen[0], given))
            if len(configs) < len(pinned):
                belief = belief.believing(chosen)
        return configs

    def believing(self, rows: Floats) -> Belief:
        """The belief if rows (N, columns) had their expected values."""
        if not len(rows):
            return self
        values = self.warp.back(self.posterior.at(rows)[0])
        return replace(
            self,
            posterior=self.posterior.believing(rows),
            front=np.concatenate([self.front, values]),
        )

    def _gains(self, rows: Floats, normal: Floats) -> Floats:
        mean, deviation = self.posterior.at(rows)
        return merit(self.warp.back(mean + normal[:, None] * deviation), self.front, self.reference)


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
        span = math.log(rungs[-1] / rungs[0]) or 1.0
        self._low = [math.log(rungs[-1] / rung) / span for rung in rungs]

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
        return [self.shape.config(self.shape.draw(1, rng, given)[0], given) for given in pinned]

    def learn(
        self, results: Results, configs: Sequence[Mapping[str, Scalar]], seed: int
    ) -> Belief | None:
        """Fits the model; None if trials are too few. `seed` draws which of many trials are
        modelled.

        Failed trials count as the worst, with much noise. Without them, a search would stay where
        trials fail if values rise towards there.
        """
        known, reached = [], []
        for trial, rungs in enumerate(results):
            if rungs:
                known.append(trial)
                reached.append(rungs)
        values = full_length(reached, len(self._signs))
        order = Order(values, self._objectives, self._reference)
        if order.measured < STARTUP:
            return None
        rng = np.random.default_rng(derive(seed, "modelled"))
        best = np.arange(min(BEST, order.measured))
        others = len(best) + rng.permutation(order.measured - len(best))[:OTHERS]
        modelled = order.at(np.concatenate([best, others]))
        rows, low, seen = self._results(reached, modelled.tolist())
        encoded = self.shape.rows([configs[known[trial]] for trial in modelled])
        warp = Warp(seen)
        values = warp.to(seen)
        fitted = np.sort(rng.permutation(len(rows))[:FITTED])
        failed = self.shape.rows(
            [configs[n] for n, rungs in enumerate(results) if rungs is None][-FAILED:]
        )
        posterior = Posterior(
            self._kernel,
            np.concatenate([encoded[rows], failed]),
            np.concatenate([low, np.zeros(len(failed))]),
            np.concatenate([values, np.tile(values.min(axis=0), (len(failed), 1))]),
            fitted,
            np.repeat([0.0, DOUBT], [len(rows), len(failed)]),
        )
        measured = np.array([values for rungs in reached for values in rungs])
        front = measured[nondominated(measured, self._objectives)] * self._signs
        worst = (
            np.array([self._reference[objective.name] for objective in self._objectives])
            * self._signs
        )
        under_way = {
            trial for trial, rungs in enumerate(results) if rungs is not None and not rungs
        }
        pending = [
            config
            for trial, config in enumerate(configs)
            if trial >= len(results) or trial in under_way
        ]
        tried = frozenset(map(_named, configs))
        belief = Belief(self.shape, posterior, warp, front, worst, encoded[:PARENTS], tried)
        return belief.believing(self.shape.rows(pending[-PENDING:]))

    def _results(
        self, results: Sequence[Sequence[Sequence[float]]], trials: Sequence[int]
    ) -> tuple[np.ndarray, Floats, Floats]:
        """The first `ROWS` finite results: index in `trials`, lowness of the rung, values at full
        length.
        """
        ahead = to_full_length(results, len(self._signs))
        finite = [
            (place, self._low[rung], ahead.at(rung, np.asarray(values)) * self._signs)
            for place, trial in enumerate(trials)
            for rung, values in enumerate(results[trial])
            if np.isfinite(values).all()
        ][:ROWS]
        rows, low, values = zip(*finite, strict=True)
        return np.array(rows), np.array(low), np.array(values)


BATCH = 4
"""Trials proposed together: fitting the model takes three quarters of a proposal's time."""


class Proposals:
    """The proposals of one plan. The same ledger gives the same proposals; the cache only saves
    time.

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
        self, ledger: JobHistory, configs: Sequence[Mapping[str, Scalar]]
    ) -> Mapping[str, Scalar]:
        """Parameters of the trial after those in the ledger, with these `configs`; Optuna's sampler
        adds the rest.
        """
        number = ledger.trials
        if self._sampler is None:
            return self._opening(number)
        first = number - number % BATCH
        if first != self._first:
            with self._threads.limit(limits=1):  # matrices are too small for several threads
                self._batch = self._sampler.propose_batch(
                    ledger.known_at(first),
                    configs[:first],
                    derive(self._seed, "proposal", first),
                    [self._opening(each) for each in range(first, first + BATCH)],
                )
            self._first = first
        return self._batch[number - first]

    def _opening(self, number: int) -> Mapping[str, Scalar]:
        return self._openings[number] if number < len(self._openings) else {}
