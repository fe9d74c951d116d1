"""The rungs of a suite on a data set: how long full length is there, and whether the budget holds it."""

from __future__ import annotations

from bench.errors import UserError
from bench.search.rungs import ladder
from bench.search.space import Space
from bench.suite import Suite
from bench.training.config import OptimConfig

EPOCHS = "optim.epochs"


def rungs_of(suite: Suite, space: Space, rows: int) -> tuple[int, ...]:
    """Training samples at each rung, the last of them full length; that alone where the suite has no rungs.

    Args:
        rows: of the data set's train split.

    Raises:
        UserError: the budget does not hold one trial of full length.
    """
    epochs = space.fixed.get(EPOCHS, OptimConfig().epochs)
    assert isinstance(epochs, int | float)
    full = max(1, round(epochs * rows))
    budget = suite.budget.samples
    if budget is not None and budget < full:
        raise UserError(
            f"budget.samples: expected at least {full:,}, which one trial of full length takes, found {budget:,}"
        )
    lowest = suite.search.lowest
    if lowest is None:
        return (full,)
    return ladder(max(1, round(lowest * full)) if lowest < 1 else int(lowest), suite.search.step, full)
