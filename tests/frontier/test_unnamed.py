"""Where nobody said what is served: no pick ranks below a random order, unless all do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from choice_toys import CLICK, LIKE, made

from bench.core.errors import UserError
from bench.frontier.pick import pick
from bench.frontier.policy import Policy

UNNAMED = replace(
    made({"7": (0.08, 0.4), "8": (0.09, 0.3), "single_task": (0.09, 0.25)}, current="single_task"),
    today=False,
    chance={CLICK: 0.1, LIKE: 0.1},
)


def test_what_reaches_a_random_order_is_picked_and_where_nothing_does_that_is_said() -> None:
    above = replace(UNNAMED, chance={CLICK: 0.085, LIKE: 0.1})
    assert pick(above, (), Policy()).point == "8"
    found = pick(UNNAMED, (), Policy())
    assert found.point == "7"
    assert "could not judge" in found.reason
    assert "no choice reaches a random order in every outcome" in found.reason


@pytest.mark.parametrize(
    "guard",
    [*({"max_loss_vs_current": loss} for loss in (0.0, 0.05, {CLICK: 0.0})), {"at_least": {CLICK: "98% of current"}}],
)
def test_a_share_of_what_nobody_serves_is_refused(guard: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="nobody said what is served today"):
        pick(UNNAMED, (), Policy.model_validate({"guard": guard}))
