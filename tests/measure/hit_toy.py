"""`hit@k`, a metric that the package does not have: whether a positive is among the first k rows of
a list.
"""

import numpy as np

from bench.core.objectives import ListMetric
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import Walked, list_of, tied


@jit()
def _hits(lists, gains, cut, out):
    for number in lists.defined:
        ranked, places = list_of(lists, number)
        out[number] = _hit(ranked, places, gains, cut)


@jit()
def _hit(ranked, places, gains, cut):
    before, start, once = 0.0, 0, ranked[:0]
    while start < len(places) and before < cut:
        rows, positives, start = tied(ranked, places, len(places), gains, once, start)
        if positives > 0:
            none = 1.0  # the chance that no row of the run that is within the cut is positive
            for j in range(int(min(rows, cut - before))):
                none *= (rows - positives - j) / (rows - j)
            return 1 - none
        before += rows
    return 0.0


hit = Walked(_hits, lambda facts, cut: np.minimum(facts.total, 1))
LINE = ListMetric("hit_toy", binary=True)


def twin(gains, cut):
    return float(any(gains[: int(cut)])) if any(gains) else None
