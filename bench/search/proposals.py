"""Proposes a new trial's parameters: an opening of the plan, a proposal of our own sampler, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from threadpoolctl import ThreadpoolController

from bench.records import Scalar
from bench.search.encoding import Shape
from bench.search.gp import GaussianSampler
from bench.search.plan import Plan
from bench.search.samplers import GP
from bench.search.standing import Ledger
from bench.seeds import derive

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
            known = [
                (results, configs[trial]) for trial, results in enumerate(ledger.known_at(first)) if results is not None
            ]
            with self._threads.limit(limits=1):  # matrices are small: more threads only wait for each other
                self._batch = self._sampler.propose_batch(
                    [results for results, _ in known],
                    [config for _, config in known],
                    derive(self._seed, "proposal", first),
                    [self._opening(each) for each in range(first, first + BATCH)],
                )
            self._first = first
        return self._batch[number - first]

    def _opening(self, number: int) -> Mapping[str, Scalar]:
        return self._openings[number] if number < len(self._openings) else {}
