"""What a new trial starts from: an opening of the plan, a proposal of a sampler of ours, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np

from bench.records import Scalar
from bench.search.evolution import EvolutionSampler
from bench.search.fidelity import order_across_rungs
from bench.search.gp import GaussianSampler
from bench.search.parzen import ParzenSampler
from bench.search.plan import Opening, Plan
from bench.search.promotion import Standing
from bench.search.ranking import Order
from bench.search.samplers import EVOLUTION, GP, PARZEN
from bench.seeds import derive


class Proposals:
    """Those of one plan. Without state: the same trials lead to the same proposal."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._openings = plan.openings()
        self._sampler = _sampler(plan)

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
        seed = derive(self._plan.seed, "proposal", number)
        pinned = opening.params if opening else {}
        if isinstance(self._sampler, GaussianSampler):
            params = self._sampler.propose(results, configs, seed, pinned)
        else:
            rules = self._plan.rules
            order = order_across_rungs(results, rules.objectives, rules.reference, rules.tie_break)
            params = self._sampler.propose(_Ranked(order, configs), seed, pinned)
        return Opening(params, bool(opening and opening.baseline))


class _Ranked(Sequence[Mapping[str, Scalar]]):
    """Configurations of the trials with a result, from best to worst; in order only as far as they are looked at."""

    def __init__(self, order: Order, configs: Sequence[Mapping[str, Scalar]]) -> None:
        self._order, self._configs = order, configs

    def __len__(self) -> int:
        return self._order.measured

    @overload
    def __getitem__(self, at: int) -> Mapping[str, Scalar]: ...
    @overload
    def __getitem__(self, at: slice) -> list[Mapping[str, Scalar]]: ...
    def __getitem__(self, at: int | slice) -> Mapping[str, Scalar] | list[Mapping[str, Scalar]]:
        if isinstance(at, slice):
            return [self._configs[row] for row in self._order.at(np.arange(len(self))[at])]
        row: int = self._order.at(np.array([range(len(self))[at]]))[0]
        return self._configs[row]


def _sampler(plan: Plan) -> GaussianSampler | ParzenSampler | EvolutionSampler | None:
    if plan.sampler == GP:
        return GaussianSampler(plan.space, plan.tasks, plan.objectives, plan.rules.reference, plan.rules.rungs)
    if plan.sampler == PARZEN:
        return ParzenSampler(plan.space, plan.tasks)
    return EvolutionSampler(plan.space, plan.tasks) if plan.sampler == EVOLUTION else None
