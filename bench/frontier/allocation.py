"""Which confirmed points to retrain once more: a race among those that may or may not be on the front.

A point's index is p (1 - p) (1/n - 1/(n + 1)): how uncertain its place is, times by how much, in units of the seeds'
variance, one more replicate sharpens its mean. p is P(non-dominated) on validation as it is: what its rows do does not
fall with replicates.

A point whose place looks settled rests, and may come back: P of all points is computed anew in each round, and in each
round one resting point, the least certain, gets a replicate too. Its first replicates may have been unlucky.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.frontier.samples import Sample
from bench.frontier.uncertainty import p_nondominated
from bench.objectives import Objective

SETTLED = 0.05
"""A point whose P(non-dominated) is below this, or as near to 1, rests."""
DRAWS = 2000


def next_round(samples: Sequence[Sample | None], objectives: Sequence[Objective], most: int, seed: int) -> list[int]:
    """Which points get a replicate next, by place, the most uncertain first; none where the race is decided.

    The half of the uncertain points with the largest index, so that a round's trainings can run side by side and yet
    little is spent on what the round itself would have settled; and the resting point that has the fewest, whose first
    ones may have been unlucky.

    Args:
        samples: of each point on validation; None where all its trainings failed: it is out.
        most: points at the most.
    """
    racing = [at for at, each in enumerate(samples) if each]
    known = [replace(each, deviations=each.deviations[:, :0]) for each in samples if each]
    chances = p_nondominated(known, objectives, seed, DRAWS)
    if chances is None:  # nothing is known of seeds yet
        return racing[:most]
    n = np.array([len(each) for each in known])
    index = chances * (1 - chances) / (n * (n + 1))
    order, resting = np.argsort(-index, kind="stable"), np.minimum(chances, 1 - chances) < SETTLED
    unsure = [at for at in order if not resting[at]]
    rests = sorted((at for at in order if resting[at]), key=lambda at: n[at])[:1] if unsure and most > 1 else []
    chosen = unsure[: min(-(-len(unsure) // 2), most - len(rests))]
    return [racing[at] for at in [*chosen, *rests]]
