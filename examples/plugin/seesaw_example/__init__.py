"""A balancer, a sharing and a pick rule for Seesaw. `pyproject.toml` names the entries; nothing
else is needed.
"""

from __future__ import annotations

from bench.core.registry import Entry
from bench.deciding.policy import PickRule
from seesaw_example.least_gain import least_gain
from seesaw_example.linear_residual import LinearResidual, LinearResidualConfig
from seesaw_example.loss_power import LossPower, LossPowerConfig

LOSS_POWER = Entry(
    build=LossPower,
    config=LossPowerConfig,
    paper="-",
    summary="more weight to tasks whose loss is large now",
)
LINEAR_RESIDUAL = Entry(
    build=LinearResidual,
    config=LinearResidualConfig,
    paper="-",
    summary="one bottom for all tasks, plus a linear map of the inputs for each task",
)
LEAST_GAIN = PickRule(least_gain, "has the largest least gain in {names}", "weights")
