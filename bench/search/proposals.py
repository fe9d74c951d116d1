"""What a new trial starts from: an opening of the plan, a proposal of our own sampler, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records import Scalar
from bench.search.fidelity import best_first_across_rungs
from bench.search.parzen import ParzenSampler
from bench.search.plan import Opening, Plan
from bench.search.promotion import Standing
from bench.search.samplers import PARZEN
from bench.seeds import derive


class Proposals:
    """Those of one plan. Without state: the same trials lead to the same proposal."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._openings = plan.openings()
        self._sampler = ParzenSampler(plan.space, plan.tasks) if plan.sampler == PARZEN else None

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
        rules = self._plan.rules
        results = [standing.results for standing in standings]
        order = best_first_across_rungs(results, rules.objectives, rules.reference, rules.tie_break)
        ranked = [configs[row] for row in order if results[row]]
        pinned = opening.params if opening else {}
        params = self._sampler.propose(ranked, derive(self._plan.seed, "proposal", number), pinned)
        return Opening(params, bool(opening and opening.baseline))
