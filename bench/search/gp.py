"""A sampler by expected hypervolume improvement under a Gaussian process: what is best at full length, from any rung.

Values at a rung are moved to full length by what its steps meant (`fidelity`); what a step means for one configuration
and not for another is left to the process (`gaussian`). The next configuration is the one, of many candidates, that is
expected to add most hypervolume to all that was measured so far, at any rung (`improvement`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.frontier.pareto import nondominated
from bench.objectives import Objective
from bench.records import Scalar
from bench.search.encoding import Floats
from bench.search.fidelity import full_length, to_full_length
from bench.search.gaussian import Kernel, Posterior
from bench.search.improvement import merit
from bench.search.ranking import Order
from bench.search.shape import Shape
from bench.search.warp import Warp
from bench.seeds import derive

STARTUP = 10
"""Trials that are drawn at random before any is modelled."""
BEST, OTHERS, ROWS, FITTED = 160, 64, 256, 128
"""The best trials and others at random that are modelled, how many of their results at most, and of these on how many
the kernel's settings are found."""
PENDING = 64
"""Trials under way of which a proposal takes account."""
PARENTS, CANDIDATES, ROUNDS, SAMPLES = 16, 96, 2, 16
"""Candidates are so many at random and as many children of the best; then, in rounds, as many neighbours of the best
candidates so far. Their improvement is a mean over so many samples."""

Results = Sequence[Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Belief:
    """What is thought of a space's configurations, given some trials.

    Attributes:
        front: of all values that were measured those that none dominates; larger is better.
        parents: rows of the best trials.
    """

    shape: Shape
    posterior: Posterior
    warp: Warp
    front: Floats
    reference: Floats
    parents: Floats

    def propose_batch(self, seed: int, pinned: Sequence[Mapping[str, Scalar]]) -> list[dict[str, Scalar]]:
        """The searched parameters of a configuration for each of `pinned`.

        Each is chosen as if those before it had come to what is expected of them (the kriging believer of Ginsbourger
        et al., 2010). Members that have the same pinned share their candidates, of which only the best are judged anew.
        """
        rng = np.random.default_rng(seed)
        half = rng.normal(size=(SAMPLES // 2, len(self.reference)))
        normal = np.concatenate([half, -half])
        belief, configs = self, []
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
            at = int(np.argmax(gains))
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
        self._kernel = Kernel(self.shape.encoding.options)
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
            results: of earlier trials their objectives at each rung that they reached. Trials without any, and those
                that only `configs` has, are under way: proposals keep away from the last `PENDING` of them.
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
        """What these trials say; None where they are too few. `seed` draws which are modelled, where not all are."""
        known = [trial for trial, rungs in enumerate(results) if rungs]
        reached = [results[trial] for trial in known]
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
        fitted = np.sort(rng.permutation(len(rows))[:FITTED])
        posterior = Posterior(self._kernel, encoded[rows], low, warp.to(seen), fitted)
        measured = np.array([values for rungs in reached for values in rungs])
        front = measured[nondominated(measured, self._objectives)] * self._signs
        worst = np.array([self._reference[objective.name] for objective in self._objectives]) * self._signs
        belief = Belief(self.shape, posterior, warp, front, worst, encoded[:PARENTS])
        pending = [config for trial, config in enumerate(configs) if trial >= len(results) or not results[trial]]
        return belief.believing(self.shape.encoding.rows(pending[-PENDING:]))

    def _results(self, results: Results, trials: Sequence[int]) -> tuple[np.ndarray, Floats, Floats]:
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
