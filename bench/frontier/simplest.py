"""Which simpler choices are as good as one, within noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.frontier.choices import Choices
from bench.frontier.rules import Floats

MARGIN = 0.005
"""What a choice that is as good may lose in any metric: .5% of an outcome, or .0005 of a head's AUC."""
SURE = 0.95
"""One-sided confidence with which a loss is more than noise."""


def as_good(choices: Choices, names: Sequence[str], chosen: int) -> list[int]:
    """Rows of other points that are not worse than one by more than `MARGIN` in any metric, nor significantly worse.

    A loss is significant if `SURE` of the paired draws have it. Without draws nothing is known of noise: a row is then
    as good only if it is nowhere worse.
    """
    apart = _difference(choices, names, choices.values(names), chosen)
    good = (apart >= -(MARGIN if len(choices.draws) else 0.0) - 1e-12).all(axis=1)
    if len(choices.draws):
        drawn = _difference(choices, names, choices.worlds(names), chosen)
        good &= (np.quantile(drawn, SURE, axis=0) >= -1e-12).all(axis=1)
    good &= (choices.table["point"] != choices.table["point"].iloc[chosen]).to_numpy()
    return [int(row) for row in np.flatnonzero(good)]


def simplicity(choices: Choices, row: int) -> tuple[bool, float, bool]:
    """Smaller is simpler: to keep the current point, then fewer parameters, then a baseline."""
    return row != choices.current, float(choices.table["size"].iloc[row]), choices.table["role"].iloc[row] != "baseline"


def simpler(choices: Choices, row: int, chosen: int) -> bool:
    """Whether a row is simpler than another, or a baseline, which is told even where it is not smaller."""
    baseline = choices.table["role"].iloc[row] == "baseline" and choices.table["role"].iloc[chosen] != "baseline"
    return chosen != choices.current and (baseline or simplicity(choices, row) < simplicity(choices, chosen))


def _difference(choices: Choices, names: Sequence[str], values: Floats, chosen: int) -> Floats:
    """Gains of all rows over one, in units of `Choices.gains`."""
    gains = choices.gains(names, values)
    return np.asarray(gains - gains[..., [chosen], :])
