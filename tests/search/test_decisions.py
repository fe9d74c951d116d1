"""What is begun next, by hand. Rungs at 1, 4, 16 samples; eta 4; values are (click, like), larger is better."""

import numpy as np
import pytest
from rung_toys import rung_plan
from search_toys import TASKS, toy_space

from bench.search.driver import decide
from bench.search.gp import Proposals
from bench.search.standing import JobHistory, RungStep, Standing


def plan(budget, **changes):
    return rung_plan(**{"budget": budget, "ladder": (1, 4, 16), "tries": 0, "share": 0.0, **changes})


def waits(number, *values, kind="mmoe"):
    return Standing(number, kind, tuple((value, value) for value in values), "waiting")


SINGLE = Standing(0, "single_task", ((0.1, 0.1), (0.1, 0.1), (0.1, 0.1)), "waiting")  # at the top: 16 samples
FOUR = [SINGLE, *(waits(n, 0.1 * n) for n in range(1, 4))]  # 19 samples; trial 3 has earned the next rung, of 3


def test_a_promotion_comes_before_a_new_trial():
    assert decide(plan(None), FOUR) == RungStep(3, 1)
    assert decide(plan(None), FOUR[:3]) == "new trial"


@pytest.mark.parametrize(("budget", "decision"), [(22, RungStep(3, 1)), (21, "new trial"), (20, "new trial")])
def test_what_the_budget_does_not_hold_makes_room_for_what_it_does(budget, decision):
    assert decide(plan(budget), FOUR) == decision


def test_a_promotion_that_is_too_dear_makes_room_for_one_at_a_lower_rung():
    low = [waits(n, 0.1 * n) for n in range(1, 6)]
    high = [waits(n, 2.0 + n, 0.1 * n) for n in range(6, 10)]
    standings = [SINGLE, *low, *high]  # 16 + 5 + 4 * 4 = 37 samples; 9 has earned the top, which takes 12
    assert decide(plan(49), standings) == RungStep(9, 2)
    # at the lowest rung 10 have come by and 4 have left: the places are taken, so nothing else can be promoted
    assert decide(plan(48), standings) == "new trial"
    more = [*standings, *(waits(n, 9.0 + n) for n in range(10, 22))]  # 49 samples; 5 places, 4 of them taken
    assert decide(plan(61), more) == RungStep(9, 2)
    assert decide(plan(60), more) == RungStep(21, 1)


def test_no_new_trial_where_the_budget_or_the_trials_are_used_up():
    assert decide(plan(19), FOUR) is None
    assert decide(plan(None, trials=4), [*FOUR[:3], waits(3, -0.9)]) == RungStep(2, 1)
    assert decide(plan(None, trials=3), FOUR[:3]) is None


def test_what_the_baseline_still_needs_is_set_aside():
    standings = [waits(0, -0.5, kind="single_task"), *(waits(n, 0.1 * n) for n in range(1, 4))]  # 4 samples
    # trial 3 takes 3 samples and the baseline 15 more
    assert decide(plan(22), standings) == RungStep(3, 1)
    assert decide(plan(21), standings) == "new trial"
    assert decide(plan(20), standings) == "new trial"
    assert decide(plan(19), standings) == RungStep(0, 1, floor=True)
    assert decide(plan(6), standings) is None


def test_before_any_single_task_trial_a_whole_one_is_set_aside():
    assert decide(plan(16), []) == "new trial"  # which is the single-task one
    assert decide(plan(15), []) is None
    without = toy_space().restricted({"sharing.kind": "ple"})
    assert decide(plan(1, space=without), []) == "new trial"


def test_the_baseline_waits_for_all_else_to_end():
    standings = [waits(0, -0.5, kind="single_task"), waits(1, 0.1), Standing(2, "ple", (), "running")]
    assert decide(plan(None, trials=3), standings) is None
    assert decide(plan(None, trials=3), [*standings[:2], waits(2, 0.2)]) == RungStep(0, 1, floor=True)


def test_of_single_task_trials_the_best_of_the_highest_rung_goes_to_the_top():
    standings = [
        waits(0, 0.9, kind="single_task"),
        waits(1, 0.1, 0.2, kind="single_task"),
        waits(2, 0.1, 0.3, kind="single_task"),
    ]
    assert decide(plan(None), standings, late=True) == RungStep(2, 2, floor=True)


def test_when_it_is_late_nothing_but_the_baseline_goes_on():
    assert decide(plan(None), FOUR, late=True) is None


def test_without_rungs_new_trials_are_all_there_is():
    done = [waits(n, 0.1, kind="single_task") for n in range(3)]
    assert decide(plan(None, ladder=(), trials=4), done) == "new trial"
    assert decide(plan(None, ladder=(), trials=3), done) is None
    assert decide(plan(4 * 16, ladder=(16,)), done) == "new trial"
    assert decide(plan(4 * 16 - 1, ladder=(16,)), done) is None


def ledger(*values, running=0):
    """Trials with a result at the lowest rung, then some under way."""
    of = JobHistory()
    for number in range(len(values) + running):
        of.ask(RungStep(number, 0), "mmoe")
    for value in values:
        of.tell((value, value))
    return of


class TestProposals:
    def test_an_opening_is_kept_and_what_it_leaves_open_is_filled_in(self):
        of = rung_plan(tries=1, sampler="gp")
        defaults = Proposals(of).next(ledger(), [])
        assert defaults == of.openings[0]
        configs = of.openings[:3]
        tried = Proposals(of).next(ledger(running=3), configs)
        assert tried["sharing.kind"] == "single_task"
        assert set(tried) == set(of.openings[0])

    def test_a_proposal_follows_the_seed_and_the_results_alone(self):
        of = rung_plan(tries=0, sampler="gp", ladder=(64,))
        rng = np.random.default_rng(0)
        configs = [toy_space().sample(rng, TASKS) for _ in range(32)]
        rates = np.log([float(str(config["optim.lr"])) for config in configs]) / 100
        rising, falling = ledger(*rates), ledger(*-rates)
        first = Proposals(of).next(rising, configs)
        assert first == Proposals(of).next(rising, configs)
        assert first != Proposals(of).next(falling, configs)
        assert first != Proposals(rung_plan(tries=0, seed=8, sampler="gp", ladder=(64,))).next(rising, configs)

    def test_a_batch_knows_what_was_told_when_its_first_trial_was_begun(self):
        of, rng = rung_plan(tries=0, sampler="gp", ladder=(64,)), np.random.default_rng(0)
        configs = [toy_space().sample(rng, TASKS) for _ in range(32)]
        known, proposals = ledger(*np.arange(32) / 100), Proposals(of)
        first = proposals.next(known, configs)
        known.ask(RungStep(32, 0), "mmoe")
        second = proposals.next(known, [*configs, first])
        known.tell((9.0, 9.0))
        assert second == Proposals(of).next(known, [*configs, first])
        assert second != first

    def test_a_trial_that_failed_without_a_result_is_passed_over(self):
        known = ledger(0.1, 0.2)
        known.ask(RungStep(2, 0), "mmoe")
        known.tell(None)
        assert known.known_at(3) == [((0.1, 0.1),), ((0.2, 0.2),), None]
        assert known.known_at(1) == [()]  # trial 1 was begun before anything was told
