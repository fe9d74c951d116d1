"""What the guard excludes, what it says, and how often noise alone excludes a choice."""

from dataclasses import replace

import numpy as np
import pytest
from choice_toys import CLICK, LIKE, made
from hypothesis import given
from hypothesis import strategies as st
from ledger_toys import GAINS

from bench.core.errors import UserError
from bench.deciding.choices import CHOOSING, RETRAINED
from bench.deciding.judging import Judge
from bench.deciding.policy import Guard, Policy
from bench.deciding.remedies import changed, loosened, round_up, share_of_current
from bench.ledger.ledger import PARTS

ROWS = {"current": (0.10, 0.50), "7": (0.0949, 0.60), "8": (0.0951, 0.55), "9": (0.11, 0.49)}


def judged(choices, **policy):
    judge = Judge(Policy.model_validate(policy), choices)
    return judge, [str(choices.table["point"][row]) for row in np.flatnonzero(judge.passing)]


def test_by_itself_no_served_outcome_loses_more_than_five_percent():
    judge, passing = judged(made(ROWS))
    assert passing == ["current", "8", "9"]
    (breach,) = judge.broken(1)
    assert breach.text == f"it loses 5.10% of current's {CLICK}, where 5% is allowed"
    assert str(breach.remedy) == f"guard.max_loss_vs_current '{CLICK}' were 0.0511"


def test_what_a_policy_bounds_itself_is_not_bounded_by_default():
    epsilon = {"best": LIKE, "subject_to": {CLICK: "90% of current"}}
    assert judged(made(ROWS), rule="epsilon", epsilon=epsilon)[1] == ["current", "7", "8", "9"]
    judge, passing = judged(made(ROWS), guard={"at_least": {CLICK: "98% of current"}})
    assert passing == ["current", "9"]
    (breach,) = judge.broken(2)
    assert breach.remedy.toml == f'guard.at_least."{CLICK}" = "95.1% of current"'


def test_numbers_and_costs():
    choices = made(
        ROWS, **{"cost/parameters": [5.0, 4.0, 9.0, np.nan], "click.pcoc": [1.0, 1.0, 1.2, 1.0]}
    )
    everything = {"max_loss_vs_current": float("inf")}
    assert judged(choices, guard={**everything, "at_most": {"cost/parameters": 5}})[1] == [
        "current",
        "7",
    ]
    upper = {"cost/parameters": "80% of current"}
    assert judged(choices, guard={**everything, "at_most": upper})[1] == ["7"]
    judge, passing = judged(choices, guard={**everything, "at_most": {"click.pcoc": 1.1}})
    assert passing == ["current", "7", "9"]
    assert str(judge.broken(2)[0].remedy) == "guard.at_most 'click.pcoc' were 1.2"


@pytest.mark.parametrize("noise", [0.0, 1e-5])
def test_of_a_value_below_zero_a_loss_is_of_its_size_and_a_share_is_refused(noise):
    name = "watch.spearman"
    rows = {"current": (-0.10,), "7": (-0.101,), "8": (-0.104,)}
    choices = made(rows, noise=noise, outcomes=(name,), served=False)
    assert judged(choices, guard={"max_loss_vs_current": 0.02})[1] == ["current", "7"]
    with pytest.raises(
        UserError, match=r"expected a number for 'watch\.spearman', as current's value -0\.1 is not"
    ):
        judged(choices, guard={"at_least": {name: "98% of current"}})


def test_heads_may_lose_what_noise_explains():
    """Without a served front, two standard errors of the paired difference."""
    aucs = {"single_task": (0.80, 0.70), "7": (0.799, 0.71), "8": (0.7, 0.72)}
    choices = made(
        aucs, current="single_task", noise=0.002, outcomes=("click.auc", "like.auc"), served=False
    )
    passing = judged(choices)[1]
    assert passing == ["single_task", "7"]
    quiet, passing = judged(
        made(aucs, "single_task", outcomes=("click.auc", "like.auc"), served=False)
    )
    assert passing == ["single_task", "7", "8"]
    assert set(quiet.unjudged) == {"click.auc", "like.auc"}


def test_confidence_asks_for_more_than_the_mean():
    choices = made({"current": (0.1, 0.5), "7": (0.0985, 0.6), "8": (0.105, 0.55)}, noise=0.01)
    bound = {"at_least": {CLICK: "98% of current"}}
    assert judged(choices, guard={**bound, "confidence": 0.5})[1] == ["current", "7", "8"]
    assert judged(choices, guard=bound)[1] == ["current", "8"]
    assert judged(made(ROWS), guard=bound)[1] == ["current", "9"]  # no draws: by its mean
    with pytest.raises(UserError, match=r"guard.confidence: expected posterior draws of 'click"):
        judged(made(ROWS), guard={**bound, "confidence": 0.9})


def test_of_a_cost_more_is_a_loss():
    choices = made(
        {"current": (0.1, 0.5), "7": (0.2, 0.6), "8": (0.2, 0.6)},
        **{"cost/latency_ms": [4.0, 4.4, 3.0]},
    )
    judge, passing = judged(choices, guard={"max_loss_vs_current": {"cost/latency_ms": 0.05}})
    assert passing == ["current", "8"]
    (breach,) = judge.broken(1)
    assert breach.excess == pytest.approx(0.05)
    assert Judge(changed(Policy(guard=judge.policy.guard), [breach.remedy]), choices).passing.all()


def test_the_confidence_is_one_of_all_limits_together():
    """Trial 7 keeps each outcome in 80% of draws and both in 60%; 8 loses one by its mean; 9 keeps
    both in 80%.
    """
    choices = made({"current": (0.1, 0.5), "7": (0.1, 0.55), "8": (0.09, 0.6), "9": (0.1, 0.5)})
    draws = np.repeat(choices.values(choices.names)[None], 100, axis=0)
    draws[:20, 1, 0] = draws[20:40, 1, 1] = draws[:20, 3, 0] = draws[:20, 3, 1] = 0.01
    choices = replace(choices, draws={CHOOSING: draws, RETRAINED: draws})
    judge, passing = judged(choices)
    assert all(limit.passing[1] for limit in judge.limits)
    assert passing == ["current", "9"]
    assert judge.sure.tolist() == [1.0, 0.6, 0.0, 0.8]
    assert np.flatnonzero(judge.noise).tolist() == [1]
    (breach,) = judge.broken(1)
    assert Judge(changed(Policy(), [breach.remedy]), choices).passing[1]


@pytest.mark.parametrize(
    "guard",
    [{"at_least": {CLICK: "98% of current"}}, {"at_most": {CLICK: "90% of current"}}, {}],
    ids=str,
)
def test_what_would_let_a_choice_pass_does_so_with_confidence(guard):
    choices = made({"current": (0.1, 0.5), "7": (0.094, 0.6), "8": (0.05, 0.6)}, noise=0.01)
    policy = Policy(guard=Guard(**guard))
    (breach,) = Judge(policy, choices).broken(1)
    assert not Judge(changed(policy, [breach.remedy]), choices).broken(1)


def by_segment(true, rng, error=0.01, segments=8, trials=1):
    """Cells of segments in which rows 1 to `trials` truly gain `true`, seen with noise and its 90%
    interval.
    """
    gain = true + error * rng.standard_normal((trials, segments, 2)).transpose(1, 0, 2)
    cells = np.zeros((segments, 1 + trials, 2, len(PARTS)))
    cells[:, 1:, :, GAINS] = np.stack([gain, gain - 1.645 * error, gain + 1.645 * error], axis=-1)
    return {f"country={number}": cell for number, cell in enumerate(cells)}


@pytest.mark.parametrize(
    ("true", "lowest", "highest"), [(-0.02, 0.0, 0.13), (0.0, 0.0, 0.01), (-0.08, 0.99, 1.0)]
)
def test_a_choice_is_wrongly_excluded_by_a_segment_in_a_tenth_of_runs_at_most(
    true, lowest, highest
):
    """300 choices of one true loss in each of 16 cells; 2% is allowed, with 90% confidence."""
    rows = {"current": (0.1, 0.5)} | {str(row): (0.1, 0.5) for row in range(300)}
    choices = made(rows, slices=by_segment(true, np.random.default_rng(1), trials=300))
    judge, _ = judged(choices, guard={"segments": {"max_loss": 0.02}})
    assert lowest <= 1 - judge.passing[1:].mean() <= highest


@given(
    st.sampled_from(["98% of current", 0.5]),
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
    st.booleans(),
)
def test_a_loosened_bound_is_kept_and_no_looser_than_it_must_be(bound, value, now, floor):
    looser = loosened(bound, value, now, floor)
    assert isinstance(looser, type(bound))
    moved = looser if isinstance(looser, float) else share_of_current(looser) * now
    room = (value - moved) * (1 if floor else -1)
    assert -1e-9 * (value + now) <= room <= 2e-5 * value + 1.01e-4 * now * isinstance(bound, str)


@given(st.floats(1e-12, 1e12))
def test_rounding_up_never_falls_below(value):
    assert value <= float(round_up(value)) <= value * 1.0101
