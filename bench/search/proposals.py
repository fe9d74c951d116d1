"""What a new trial starts from: an opening of the plan, a proposal of a sampler of ours, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records import Scalar
from bench.search.gp import GaussianSampler
from bench.search.plan import Opening, Plan
from bench.search.samplers import GP
from bench.search.shape import Shape
from bench.search.standing import Standing
from bench.seeds import derive


class Proposals:
    """Those of one plan. Without state: the same trials lead to the same proposal."""

    def __init__(self, plan: Plan) -> None:
        self._seed, self._openings = plan.seed, plan.openings()
        self._sampler: GaussianSampler | None = None
        if plan.sampler == GP:
            shape = Shape(plan.space, plan.tasks)
            self._sampler = GaussianSampler(shape, plan.objectives, plan.rules.reference, plan.rules.rungs)

    def next(self, standings: Sequence[Standing], configs: Sequence[Mapping[str, Scalar]]) -> Opening | None:
        """For the trial after these; None leaves all to Optuna's sampler.

        Args:
            standings: of every trial, by number, by what is told.
            configs: their configurations.
        """
        number = len(standings)
        opening = self._openings[number] if number < len(self._openings) else None
        if self._sampler is None:
            return opening
        # A trial that failed before its first result is not under way: nothing is to be learnt from it.
        known = [n for n, standing in enumerate(standings) if standing.results or standing.progress != "failed"]
        results = [standings[n].results for n in known]
        pinned = opening.params if opening else {}
        seed = derive(self._seed, "proposal", number)
        params = self._sampler.propose(results, [configs[n] for n in known], seed, pinned)
        return Opening(params, bool(opening and opening.baseline))
