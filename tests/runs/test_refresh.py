"""What a refreshed version may lose, by the policy, where the champion is what is served."""

from types import SimpleNamespace

import pytest

from bench.frontier.policy import Guard, Policy
from bench.production.evaluation import Judgement
from bench.results.effect import Effect
from bench.runs.refresh import _worse


@pytest.mark.parametrize(
    ("loss", "gain", "refused"),
    [(0.0, (-0.03, -0.05, -0.01), True), (0.02, (-0.03, -0.05, -0.01), False), (0.02, (-0.04, -0.05, -0.03), True),
     (None, (-0.03, -0.05, -0.01), False), (None, (-0.1, -0.12, -0.08), True), (0.0, (0.01, -0.01, 0.03), False)],
)  # fmt: skip
def test_a_sure_loss_beyond_the_guard_is_refused(loss, gain, refused):
    guard = Guard() if loss is None else Guard(max_loss_vs_current=loss)
    of = SimpleNamespace(
        policy=Policy(rule="knee", guard=guard), result=SimpleNamespace(serving=SimpleNamespace(rates={}))
    )
    difference = Effect(*(0.5 * each for each in gain))
    found = [Judgement("click.recall@10%", "larger", Effect(0.5, 0.4, 0.6), Effect(0.5), difference)]
    assert list(_worse(found, of)) == ["click.recall@10%"] * refused
