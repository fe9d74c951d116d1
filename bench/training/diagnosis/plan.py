"""The steps at which a training is probed: fixed before it begins, so that no clock decides."""

from __future__ import annotations

import math

ROWS = 512  # of a batch that a probe sees: enough for the sign of a cosine, where a task's label is not rare
MOST = 32  # probes of a whole training
LEAST = 4  # probes of a short training, whatever they take: fewer say nothing sure
CLOSEST = 16  # steps from one probe to the next at the least
SHARE = 0.02  # of a training's time that probes may take
OVERHEAD = 0.3  # of a step: what a probe takes however few its rows are, measured


def probe_cost(batch: int, tasks: int) -> float:
    """What a probe takes, in steps: a forward pass is a third of a step's work, a backward pass two thirds."""
    return min(ROWS, batch) / batch * (1 + 2 * tasks) / 3 + OVERHEAD


def interval(total: int, batch: int, tasks: int) -> int:
    """Steps from one probe to the next, in a training of `total` steps on batches of `batch` samples.

    The first is two thirds of an interval in. A short training pays more than `SHARE` for its `LEAST` probes.
    """
    every = max(math.ceil(total / MOST), math.ceil(probe_cost(batch, tasks) / SHARE))
    return min(every, max(total // LEAST, CLOSEST))


def due(step: int, every: int) -> bool:
    """Whether to look before the step of that number, counted from 0."""
    return step % every == 2 * every // 3
