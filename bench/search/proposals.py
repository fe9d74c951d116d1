"""What a new trial starts from: an opening of the plan, a proposal of a sampler of ours, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records import Scalar
from bench.search.gp import GaussianSampler
from bench.search.plan import Opening, Plan
from bench.search.samplers import GP
from bench.search.standing import Standing
from bench.seeds import derive


class Proposals:
    """Those of one plan. Without state: the same trials lead to the same proposal."""

    def __init__(self, plan: Plan) -> None:
        self._seed, self._openings = plan.seed, plan.openings()
        self._sampler = (
            GaussianSampler(plan.space, plan.tasks, plan.objectives, plan.rules.reference, plan.rules.rungs)
            if plan.sampler == GP
            else None
        )

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
        results = [standing.results for standing in standings]
        pinned = opening.params if opening else {}
        params = self._sampler.propose(results, configs, derive(self._seed, "proposal", number), pinned)
        return Opening(params, bool(opening and opening.baseline))
