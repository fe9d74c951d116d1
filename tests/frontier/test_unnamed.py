"""Where nobody said what is served: no pick ranks below a random order, unless the policy allows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from choice_toys import CLICK, LIKE, made

from bench.errors import UserError
from bench.frontier.pick import NothingPasses, pick
from bench.frontier.policy import Policy

UNNAMED = replace(
    made({"7": (0.08, 0.4), "8": (0.09, 0.3), "single_task": (0.2, 0.2)}, current="single_task"),
    today=False,
    chance={CLICK: 0.1, LIKE: 0.1},
)


def test_the_refusal_names_a_bound_with_which_a_choice_passes() -> None:
    with pytest.raises(NothingPasses, match=r"is 0.09, where a random order has 0.1; it would pass if guard.at_least"):
        pick(UNNAMED, (), Policy())
    assert pick(UNNAMED, (), Policy.model_validate({"guard": {"at_least": {CLICK: 0.09}}})).point == "8"


@pytest.mark.parametrize(
    "guard",
    [*({"max_loss_vs_current": loss} for loss in (0.0, 0.05, {CLICK: 0.0})), {"at_least": {CLICK: "98% of current"}}],
)
def test_a_share_of_what_nobody_serves_is_refused(guard: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="nobody said what is served today"):
        pick(UNNAMED, (), Policy.model_validate({"guard": guard}))
