"""What seeds alone do to one metric, pooled over all confirmed points: a few replicates each are too few to see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import UserError
from bench.frontier.redraws import Seen
from bench.objectives import Objective
from bench.records import TrialRecord


@dataclass(frozen=True)
class Noise:
    """The standard deviation of one training's value, and the degrees of freedom that it was found with."""

    sd: float
    freedom: int

    def margin(self, confidence: float, *runs: int) -> float:
        """The one-sided bound of a sum or difference of means over so many runs each: t times its standard error."""
        from scipy.stats import t

        error = self.sd * math.sqrt(sum(1 / each for each in runs))
        return float(t.ppf(confidence, self.freedom)) * error


def noise_of(points: Sequence[TrialRecord], objective: Objective, split: str, asked_by: str) -> Noise:
    """The noise of a metric on a split.

    Raises:
        UserError: no point has two replicates, so that nothing is known of it; says who `asked_by`.
    """
    found = Seen.of(points, [objective], split)
    if found.freedom < 1:
        raise UserError(
            f"{asked_by}: expected points confirmed on two seeds or more, which tell how much seeds move "
            f"{objective.key(split)}, found none; confirm with confirm.replicates = 2 or more"
        )
    return Noise(math.sqrt(found.covariance[0, 0]), found.freedom)
