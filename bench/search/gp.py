"""A sampler by expected hypervolume improvement under a Gaussian process: what is best at full length, from any rung.

Values at a rung are moved to full length by what its steps meant (`fidelity`); what a step means for one configuration
and not for another is left to the process (`gaussian`). The next configuration is the one, of many candidates, that is
expected to add most hypervolume to all that was measured so far, at any rung (`improvement`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.frontier.dominance import nondominated
from bench.objectives import Objective
from bench.records import Scalar
from bench.search.encoding import Floats
from bench.search.fidelity import full_length, to_full_length
from bench.search.gaussian import Kernel, Posterior
from bench.search.improvement import expected
from bench.search.ranking import Order
from bench.search.shape import Shape
from bench.search.space import Space
from bench.search.warp import Warp
from bench.seeds import derive

STARTUP = 10
"""Trials that are drawn at random before any is modelled."""
BEST, OTHERS, ROWS, FITTED = 160, 64, 256, 128
"""The best trials and others at random that are modelled, how many of their results at most, and of these on how many
the kernel's settings are found."""
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

    def propose(self, seed: int, pinned: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The searched parameters of a configuration."""
        rng = np.random.default_rng(seed)
        half = rng.normal(size=(SAMPLES // 2, len(self.reference)))
        normal = np.concatenate([half, -half])
        first, second = self.parents[rng.integers(len(self.parents), size=(2, CANDIDATES))]
        children = self.shape.vary(self.shape.cross(first, second, rng, pinned), 0.15, rng, pinned)
        rows = np.concatenate([self.shape.draw(CANDIDATES, rng, pinned), children])
        gains = self._gains(rows, normal)
        for _ in range(ROUNDS):
            best = rows[np.argsort(-gains, kind="stable")[:8]]
            near = self.shape.vary(best[np.arange(CANDIDATES) % 8], 0.1, rng, pinned)
            rows, gains = np.concatenate([rows, near]), np.concatenate([gains, self._gains(near, normal)])
        return self.shape.config(rows[int(np.argmax(gains))], pinned)

    def _gains(self, rows: Floats, normal: Floats) -> Floats:
        mean, deviation = self.posterior.at(rows)
        return expected(self.warp.back(mean + normal[:, None] * deviation), self.front, self.reference)


class GaussianSampler:
    """Proposes configurations of a space. Holds no state: a proposal depends on its arguments alone.

    Args:
        rungs: training samples at each; with one, every trial is at full length.
        reference: of the hypervolume, by objective.
    """

    def __init__(
        self,
        space: Space,
        tasks: Sequence[str],
        objectives: tuple[Objective, ...],
        reference: Mapping[str, float],
        rungs: Sequence[int],
    ) -> None:
        self.shape = Shape(space, tasks)
        self._kernel = Kernel(self.shape.encoding.options)
        self._objectives, self._reference = objectives, reference
        self._signs = np.array([objective.sign for objective in objectives])
        span = math.log(rungs[-1] / rungs[0]) or 1.0
        self._low = [math.log(rungs[-1] / rung) / span for rung in rungs]

    def propose(
        self,
        results: Results,
        configs: Sequence[Mapping[str, Scalar]],
        seed: int,
        pinned: Mapping[str, Scalar] | None = None,
    ) -> dict[str, Scalar]:
        """The searched parameters of the next configuration.

        Args:
            results: of earlier trials their objectives at each rung that they reached; those without any are passed
                over.
            configs: their configurations.
            seed: of this proposal.
            pinned: parameters that are given.
        """
        belief = self.learn(results, configs, seed)
        if belief is None:
            return self.shape.config(self.shape.draw(1, np.random.default_rng(seed), pinned)[0], pinned)
        return belief.propose(seed, pinned or {})

    def propose_batch(
        self,
        results: Results,
        configs: Sequence[Mapping[str, Scalar]],
        seed: int,
        pinned: Sequence[Mapping[str, Scalar]],
    ) -> list[dict[str, Scalar]]:
        """The searched parameters of the next configurations, one for each of `pinned`."""
        return [self.propose(results, configs, derive(seed, at), given) for at, given in enumerate(pinned)]

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
        return Belief(self.shape, posterior, warp, front, worst, encoded[:PARENTS])

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
