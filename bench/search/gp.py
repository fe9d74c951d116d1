"""A sampler by expected hypervolume improvement at full length, under a Gaussian process over all rungs.

With one objective or two the hypervolume that a point adds is exact: of two, a sum over the strips between the front's
points. With more, polar coordinates around an origin give the hypervolume up to a constant (Deng and Zhang 2019; Zhang
and Golovin, ICML 2020). It is the mean over directions d in the positive orthant of max over points of min over
objectives of (max(0, y - r) / d)^M. A point adds the mean of its lead over the front, in all directions at once.

Values at a rung are moved to full length by the trend of its steps (`ranking`). The process models how a configuration
departs from that trend (`gaussian`). The next configuration is the one, of many candidates, that is
expected to add most hypervolume to all that was measured so far, at any rung.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import ThreadpoolController

from bench.arrays import Floats
from bench.objectives import Objective
from bench.records import Scalar
from bench.results.pareto import nondominated
from bench.search.gaussian import Kernel, Posterior, Shape
from bench.search.plan import Plan
from bench.search.ranking import Order, full_length, to_full_length
from bench.search.samplers import GP
from bench.search.standing import Ledger
from bench.seeds import derive


class Warp:
    """Warps values (N, M), larger is better, to a mean of 0 and a standard deviation of 1, and back.

    Random configurations have a long tail of poor ones, whose differences would hide those among the good. Above the
    best the scale goes on in a straight line.
    """

    def __init__(self, values: Floats) -> None:
        self._best = values.max(axis=0)
        behind = self._best - values
        scale = np.maximum(np.median(behind, axis=0), 1e-9 * behind.max(axis=0))
        self._scale = np.where(scale > 0, scale, 1.0)
        logs = self._log(values)
        self._mean, self._spread = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-9)

    def to(self, values: Floats) -> Floats:
        """Values on the new scale."""
        return np.asarray((self._log(values) - self._mean) / self._spread)

    def back(self, warped: Floats) -> Floats:
        """What has such values on the new scale."""
        logs = warped * self._spread + self._mean
        behind = np.where(logs < 0, np.expm1(np.clip(-logs, 0, 50)), -logs)
        return np.asarray(self._best - behind * self._scale)

    def _log(self, values: Floats) -> Floats:
        behind = (self._best - values) / self._scale
        return np.asarray(np.where(behind > 0, -np.log1p(np.maximum(behind, 0)), -behind))


DIRECTIONS = 96


def directions(objectives: int) -> Floats:
    """Unit vectors in the positive orthant, spread evenly: (DIRECTIONS, M). The same in every call."""
    normal = np.abs(np.random.default_rng(0).normal(size=(DIRECTIONS, objectives)))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def reach(gains: Floats, of: Floats) -> Floats:
    """How far points reach in each direction, to the power of M: gains (.., M) -> (.., directions)."""
    ahead = np.maximum(gains, 0.0)
    nearest = ahead[..., 0, None] / of[:, 0]
    for objective in range(1, of.shape[1]):
        np.minimum(nearest, ahead[..., objective, None] / of[:, objective], out=nearest)
    nearest **= of.shape[1]
    return np.asarray(nearest)


def expected(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """What points add on average.

    Args:
        samples: (S, N, M) of N points' values.
        front: (F, M).
        reference: (M,).

    Returns:
        (N,), in units that are the same for all points.
    """
    front = front[(front > reference).all(axis=1)]
    if len(reference) == 1:
        return np.asarray((samples[..., 0] - front.max(initial=reference[0])).clip(0).mean(axis=0))
    if len(reference) == 2:
        return _strips(samples, front[np.argsort(front[:, 0])], reference)
    # Around the origin the front fills few directions where it is far: so the origin is as near as its own range.
    # Where the front has no range, as one point has none, the origin is the reference.
    low, high = (front.min(axis=0), front.max(axis=0)) if len(front) else (reference, reference + 1)
    origin = np.where(high > low, np.maximum(reference, low - (high - low)), reference)
    span, of = high - origin, directions(len(reference))
    there = reach((front - origin) / span, of).max(axis=0) if len(front) else np.zeros(len(of))
    ahead = reach((samples - origin) / span, of)
    ahead -= there
    return np.asarray(np.maximum(ahead, 0.0, out=ahead).mean(axis=(0, 2)))


def _strips(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """Of two objectives; the front rises by the first."""
    left = np.concatenate([reference[:1], front[:, 0]])
    covered = np.append(np.maximum.accumulate(front[::-1, 1])[::-1], reference[1])
    width = np.minimum(samples[..., 0, None], np.append(left[1:], np.inf))
    width -= left
    height = samples[..., 1, None] - covered
    np.maximum(width, 0.0, out=width)
    np.maximum(height, 0.0, out=height)
    return np.asarray(np.einsum("snf,snf->n", width, height) / len(samples))


def merit(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """As `expected`; below 0 where no sample adds anything, and the more so, the further the best of them is from it.

    So there is an order among candidates whose improvement is too unlikely to be seen in a few samples.
    """
    gains = expected(samples, front, reference)
    none = np.flatnonzero(gains <= 0)
    best = samples[:, none].max(axis=0)
    span = np.ptp(front, axis=0) + 1e-3 * np.abs(front - reference).max(axis=0)
    span = np.where(span > 0, span, 1.0)
    # By how much all objectives together would have to rise to be dominated by nothing (the additive epsilon).
    behind = ((front - best[:, None]) / span).min(axis=2).max(axis=1)
    behind = np.maximum(behind, ((reference - best) / span).max(axis=1))
    gains[none] = -np.where(behind > 0, 1 + behind, np.exp(np.clip(behind, -50, 0)))
    return gains


STARTUP = 10
"""Trials that are drawn at random before any is modelled."""
BEST, OTHERS, ROWS, FITTED = 160, 64, 256, 128
"""The best trials and others at random that are modelled, how many of their results at most, and of these on how many
the kernel's settings are found."""
PENDING = 64
"""Trials under way of which a proposal takes account."""
PARENTS, CANDIDATES, ROUNDS, SAMPLES = 16, 96, 2, 16
"""Candidates: CANDIDATES at random and as many children of the PARENTS best trials; then, in ROUNDS, as many neighbours
of the best candidates so far. Their improvement is a mean over SAMPLES draws."""

FAILED, DOUBT = 64, 1.0
"""Failed trials that are modelled, the last ones, each as the worst value; and the variance of its noise, that of the
prior. So one failure says little, and several close to each other are avoided."""

Results = Sequence[Sequence[Sequence[float]] | None]
Named = frozenset[tuple[str, Scalar]]
"""A configuration that can be looked up."""


def _named(config: Mapping[str, Scalar]) -> Named:
    return frozenset(config.items())


@dataclass(frozen=True)
class Belief:
    """The model of a space's configurations, given some trials.

    Attributes:
        front: of all values that were measured those that none dominates; larger is better.
        parents: rows of the best trials.
        tried: configurations that are not proposed again.
    """

    shape: Shape
    posterior: Posterior
    warp: Warp
    front: Floats
    reference: Floats
    parents: Floats
    tried: frozenset[Named]

    def propose_batch(self, seed: int, pinned: Sequence[Mapping[str, Scalar]]) -> list[dict[str, Scalar]]:
        """The searched parameters of a configuration for each of `pinned`.

        Each is chosen as if those before it had their expected values (the kriging believer of Ginsbourger et al.,
        2010). Members with the same pinned parameters share their candidates, of which only the best are judged again.
        A configuration that was tried is proposed again only if all candidates were.
        """
        rng = np.random.default_rng(seed)
        half = rng.normal(size=(SAMPLES // 2, len(self.reference)))
        normal = np.concatenate([half, -half])
        belief, configs = self, []
        tried = set(self.tried)
        pools: dict[tuple[tuple[str, Scalar], ...], tuple[Floats, Floats]] = {}
        for given in pinned:
            key = tuple(sorted(given.items(), key=lambda item: item[0]))
            rows, gains, near = *pools.get(key, (np.empty((0, self.parents.shape[1])), np.empty(0))), CANDIDATES
            if len(rows):
                again, near = np.argsort(-gains, kind="stable")[:CANDIDATES], CANDIDATES // 2
                gains = np.full(len(rows), -np.inf)
                gains[again] = belief._gains(rows[again], normal)
            else:
                first, second = self.parents[rng.integers(len(self.parents), size=(2, CANDIDATES))]
                children = self.shape.vary(self.shape.cross(first, second, rng, given), 0.15, rng, given)
                rows = np.concatenate([self.shape.draw(CANDIDATES, rng, given), children])
                gains = belief._gains(rows, normal)
            for _ in range(ROUNDS):
                best = rows[np.argsort(-gains, kind="stable")[:8]]
                found = self.shape.vary(best[np.arange(near) % len(best)], 0.1, rng, given)
                rows, gains = np.concatenate([rows, found]), np.concatenate([gains, belief._gains(found, normal)])
            order = np.argsort(-gains, kind="stable").tolist()
            at = next((n for n in order if _named(self.shape.config(rows[n], given)) not in tried), order[0])
            tried.add(_named(self.shape.config(rows[at], given)))
            chosen, pools[key] = rows[[at]], (np.delete(rows, at, axis=0), np.delete(gains, at))
            configs.append(self.shape.config(chosen[0], given))
            if len(configs) < len(pinned):
                belief = belief.believing(chosen)
        return configs

    def believing(self, rows: Floats) -> Belief:
        """What would be thought, had rows (N, columns) come to what is expected of them."""
        if not len(rows):
            return self
        values = self.warp.back(self.posterior.at(rows)[0])
        return replace(self, posterior=self.posterior.believing(rows), front=np.concatenate([self.front, values]))

    def _gains(self, rows: Floats, normal: Floats) -> Floats:
        mean, deviation = self.posterior.at(rows)
        return merit(self.warp.back(mean + normal[:, None] * deviation), self.front, self.reference)


class GaussianSampler:
    """Proposes configurations of a shape. Holds no state: a proposal depends on its arguments alone.

    Args:
        rungs: training samples at each; with one, every trial is at full length.
        reference: of the hypervolume, by objective.
    """

    def __init__(
        self,
        shape: Shape,
        objectives: tuple[Objective, ...],
        reference: Mapping[str, float],
        rungs: Sequence[int],
    ) -> None:
        self.shape = shape
        self._kernel = Kernel(self.shape.encoding.options, len(objectives))
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
        """The searched parameters of the next configurations, one for each of `pinned`, by one fit.

        Args:
            results: of earlier trials their objectives at each rung that they reached, None for a failed trial. Trials
                without any, and those that only `configs` has, are under way: proposals keep away from the last
                `PENDING` of them.
            configs: their configurations.
            seed: of these proposals.
            pinned: of each proposal the parameters that are given.
        """
        belief = self.learn(results, configs, seed)
        if belief is not None:
            return belief.propose_batch(seed, pinned)
        rng = np.random.default_rng(seed)
        return [self.shape.config(self.shape.draw(1, rng, given)[0], given) for given in pinned]

    def learn(self, results: Results, configs: Sequence[Mapping[str, Scalar]], seed: int) -> Belief | None:
        """What these trials say; None where they are too few. `seed` draws which are modelled, where not all are.

        Failed trials count as the worst, with much noise. Without them, a search would stay where trials fail if
        values rise towards there.
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
        encoded = self.shape.encoding.rows([configs[known[trial]] for trial in modelled])
        warp = Warp(seen)
        values = warp.to(seen)
        fitted = np.sort(rng.permutation(len(rows))[:FITTED])
        failed = self.shape.encoding.rows([configs[n] for n, rungs in enumerate(results) if rungs is None][-FAILED:])
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
        worst = np.array([self._reference[objective.name] for objective in self._objectives]) * self._signs
        under_way = {trial for trial, rungs in enumerate(results) if rungs is not None and not rungs}
        pending = [config for trial, config in enumerate(configs) if trial >= len(results) or trial in under_way]
        tried = frozenset(map(_named, configs))
        belief = Belief(self.shape, posterior, warp, front, worst, encoded[:PARENTS], tried)
        return belief.believing(self.shape.encoding.rows(pending[-PENDING:]))

    def _results(
        self, results: Sequence[Sequence[Sequence[float]]], trials: Sequence[int]
    ) -> tuple[np.ndarray, Floats, Floats]:
        """The first `ROWS` finite results of these trials: whose, by its place in `trials`, how low the rung, what it
        means at full length."""
        ahead = to_full_length(results, len(self._signs))
        found = [
            (place, self._low[rung], ahead.at(rung, np.asarray(values)) * self._signs)
            for place, trial in enumerate(trials)
            for rung, values in enumerate(results[trial])
            if np.isfinite(values).all()
        ][:ROWS]
        rows, low, values = zip(*found, strict=True)
        return np.array(rows), np.array(low), np.array(values)


BATCH = 4
"""Trials that are proposed together: fitting the model takes three quarters of a proposal's time."""


class Proposals:
    """The proposals of one plan. The same ledger leads to the same proposals; the cache only saves time.

    Trials are proposed in batches by their numbers: 0 to 3, 4 to 7 and so on. A batch uses the outcomes that were
    recorded when its first trial began. So a search that is resumed within a batch proposes the rest of it as before.
    """

    def __init__(self, plan: Plan) -> None:
        self._seed, self._openings = plan.seed, plan.openings
        self._sampler: GaussianSampler | None = None
        if plan.sampler == GP:
            shape = Shape(plan.space, plan.tasks)
            self._sampler = GaussianSampler(shape, plan.objectives, plan.rules.reference, plan.rules.rungs)
        self._threads = ThreadpoolController()
        self._first, self._batch = -1, list[dict[str, Scalar]]()

    def next(self, ledger: Ledger, configs: Sequence[Mapping[str, Scalar]]) -> Mapping[str, Scalar]:
        """Parameters for the trial after those of the ledger; Optuna's sampler fills in the rest.

        Args:
            configs: their configurations.
        """
        number = ledger.trials
        if self._sampler is None:
            return self._opening(number)
        first = number - number % BATCH
        if first != self._first:
            with self._threads.limit(limits=1):  # matrices are small: more threads only wait for each other
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
