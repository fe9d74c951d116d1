"""The simplest point within one standard error of the best (Breiman et al., CART 1984, section 3.4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import UserError
from bench.frontier import reason
from bench.frontier.hierarchy import root
from bench.frontier.rules import Frame, PickRule
from bench.frontier.samples import sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM
from bench.seeds import derive

DRAWS = 4000
Scored = tuple[float, Point]


@dataclass(frozen=True)
class Within:
    """What one standard error of the best score allows.

    Attributes:
        best: the best by the rule; error: the standard error of its score.
        chosen: the one with the fewest parameters among the points within it, the better of equals.
        points: how many those are.
        joined: those of them that are not on the front.
    """

    best: Scored
    error: float
    chosen: Point
    points: int
    joined: tuple[Scored, ...]

    def because(self, rule: str) -> str:
        """Completes "trial 7 is picked because it ..."."""
        size = reason.size(self.chosen)
        words = f"is the simplest, with {size:,.0f} parameters," if np.isfinite(size) else "comes first"
        if self.points == 1:
            return f"is best by the rule '{rule}', and no other is within one standard error ({self.error:.3g}) of it"
        own = "its own" if self.chosen is self.best[1] else f"that of {reason.name(self.best[1])}"
        return (
            f"{words} of {self.points} points within one standard error ({self.error:.3g}) of the best score by the "
            f"rule '{rule}', {own}"
        )


def simplest(
    ranked: Sequence[Scored],
    others: Sequence[Scored],
    rule: PickRule,
    frame: Frame,
    objectives: Sequence[Objective],
    points: Sequence[Point],
) -> Within:
    """Applies the rule to scored points of the front, best first, and to those that may belong to it.

    The standard error is that of the best point's score when its replicates' mean is drawn anew: from what seeds do,
    with the frame held. What the split does is largely the same for all points, and is left out.

    Args:
        points: all of the run.

    Raises:
        UserError: no point has two replicates, so that no standard error is known.
    """
    best, keys = ranked[0], [objective.key(CONFIRM) for objective in objectives]
    samples = {point.id: one for point in points if (one := sample(point, keys))}
    noise = seed_noise(list(samples.values())) if best[1].id in samples else None
    if noise is None:
        raise UserError(
            "simplest: expected points confirmed on two seeds or more, which tell the standard error of a score, found "
            "none; confirm with confirm.replicates = 2 or more"
        )
    signs = np.array([objective.sign for objective in objectives])
    own, covariance = samples[best[1].id], noise.within[list(samples).index(best[1].id)]
    moved = np.random.default_rng(derive(0, "simplest")).standard_normal((DRAWS, len(keys))) @ root(covariance).T
    drawn = own.mean + moved / np.sqrt(len(own))
    error = float(np.std(rule.score(drawn * signs, frame)))
    near = [each for each in (*ranked, *others) if each[0] >= best[0] - error]
    chosen = min(near, key=lambda each: (reason.size(each[1]), -each[0], each[1].number))
    return Within(best, error, chosen[1], len(near), tuple(each for each in others if each in near))
