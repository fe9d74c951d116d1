"""What is begun next, by hand: rungs at 1, 4, 16 samples, eta 4; and the portfolio with which a
search begins.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from rung_toys import rung_plan
from search_toys import TASKS, toy_plan, toy_space

from bench.search.driver import decide
from bench.search.gp import Proposals
from bench.search.plan import LEARNT_FIRST, NUMERIC, beginning, fitted, learnt
from bench.search.space import load_space
from bench.search.standing import JobHistory, RungStep, Standing


def plan(budget, **changes):
    return rung_plan(
        **{"budget": budget, "ladder": (1, 4, 16), "tries": 0, "share": 0.0, **changes}
    )


def waits(number, *values, kind="mmoe"):
    return Standing(number, kind, tuple((value, value) for value in values), "waiting")


# at the top: 16 samples
SINGLE = Standing(0, "single_task", ((0.1, 0.1), (0.1, 0.1), (0.1, 0.1)), "waiting")
# 19 samples; trial 3 has earned the next rung, of 3
FOUR = [
    SINGLE,
    *(waits(n, 0.1 * n) for n in range(1, 4)),
]
POOR = [waits(0, -0.5, kind="single_task"), *FOUR[1:]]  # 4 samples; the baseline lacks 15
ALONE = [
    waits(n, 0.1 * n, *later, kind="single_task") for n, later in enumerate([(), (0.2,), (0.3,)])
]
DONE = [waits(n, 0.1, kind="single_task") for n in range(3)]
WITHOUT = toy_space().restricted({"sharing.kind": "ple"})
CASES = {
    "a promotion comes before a new trial": (plan(None), FOUR, RungStep(3, 1)),
    "nothing has earned one": (plan(None), FOUR[:3], "new trial"),
    "the budget holds it": (plan(22), FOUR, RungStep(3, 1)),
    "what the budget does not hold makes room for what it does": (plan(21), FOUR, "new trial"),
    "the budget holds one sample": (plan(20), FOUR, "new trial"),
    "the budget is used up": (plan(19), FOUR, None),
    "the trials are used up, and one may go on": (plan(None, trials=4), FOUR, RungStep(3, 1)),
    "the trials are used up": (plan(None, trials=3), FOUR[:3], None),
    "what the baseline lacks is set aside": (plan(22), POOR, RungStep(3, 1)),
    "no promotion but a trial fits beside it": (plan(20), POOR, "new trial"),
    "nothing else fits": (plan(19), POOR, RungStep(0, 1, floor=True)),
    "the baseline's next step does not fit": (plan(6), POOR, None),
    "the first trial is a whole single-task one": (plan(16), [], "new trial"),
    "for which there is no room": (plan(15), [], None),
    "without single-task models nothing is set aside": (plan(1, space=WITHOUT), [], "new trial"),
    "the baseline waits for others": (
        plan(None, trials=3),
        [*POOR[:2], Standing(2, "ple", (), "running")],
        None,
    ),
    "the best at the highest rung is the baseline": (
        plan(None, trials=3),
        ALONE,
        RungStep(2, 2, floor=True),
    ),
    "no rungs": (plan(None, ladder=(), trials=4), DONE, "new trial"),
    "no rungs, and all trials": (plan(None, ladder=(), trials=3), DONE, None),
    "one rung": (plan(4 * 16, ladder=(16,)), DONE, "new trial"),
    "one rung, and no room": (plan(4 * 16 - 1, ladder=(16,)), DONE, None),
}


@pytest.mark.parametrize(("plan", "standings", "decision"), CASES.values(), ids=CASES)
def test_by_hand(plan, standings, decision):
    assert decide(plan, standings) == decision


def test_when_it_is_late_the_baseline_alone_goes_on():
    assert decide(plan(None), FOUR, late=True) is None
    assert decide(plan(None), ALONE, late=True) == RungStep(2, 2, floor=True)


def test_a_promotion_that_is_too_dear_makes_room_for_one_at_a_lower_rung():
    low = [waits(n, 0.1 * n) for n in range(1, 6)]
    high = [waits(n, 2.0 + n, 0.1 * n) for n in range(6, 10)]
    # 16 + 5 + 4 * 4 = 37 samples; 9 has earned the top, which takes 12
    standings = [
        SINGLE,
        *low,
        *high,
    ]
    assert decide(plan(49), standings) == RungStep(9, 2)
    # at the lowest rung 10 have come by and 4 have left: the places are taken, so nothing else can
    # be promoted
    assert decide(plan(48), standings) == "new trial"
    # 49 samples; 5 places, 4 of them taken
    more_standings = [
        *standings,
        *(waits(n, 9.0 + n) for n in range(10, 22)),
    ]
    assert decide(plan(61), more_standings) == RungStep(9, 2)
    assert decide(plan(60), more_standings) == RungStep(21, 1)


def ledger(*values, running=0):
    """Trials with a result at the lowest rung, then some under way."""
    history = JobHistory()
    for number in range(len(values) + running):
        history.ask(RungStep(number, 0), "mmoe")
    for value in values:
        history.tell((value, value))
    return history


GP = rung_plan(tries=0, sampler="gp", ladder=(64,))
CONFIGS = [toy_space().sample(rng, TASKS) for rng in [np.random.default_rng(0)] for _ in range(32)]


def test_an_opening_is_kept_and_what_it_leaves_open_is_filled_in():
    search_plan = rung_plan(tries=1, sampler="gp")
    assert Proposals(search_plan).next(ledger(), []) == search_plan.openings[0]
    tried = Proposals(search_plan).next(ledger(running=3), search_plan.openings[:3])
    assert tried["sharing.kind"] == "single_task"
    assert set(tried) == set(search_plan.openings[0])


def test_a_proposal_follows_the_seed_and_the_results_alone():
    rates = np.log([float(str(config["optim.lr"])) for config in CONFIGS]) / 100
    rising, falling = ledger(*rates), ledger(*-rates)
    first = Proposals(GP).next(rising, CONFIGS)
    assert first == Proposals(GP).next(rising, CONFIGS)
    assert first != Proposals(GP).next(falling, CONFIGS)
    assert first != Proposals(replace(GP, seed=8)).next(rising, CONFIGS)


def test_a_batch_knows_what_was_told_when_its_first_trial_was_begun():
    history, proposals = ledger(*np.arange(32) / 100), Proposals(GP)
    first = proposals.next(history, CONFIGS)
    history.ask(RungStep(32, 0), "mmoe")
    second = proposals.next(history, [*CONFIGS, first])
    history.tell((9.0, 9.0))
    assert second == Proposals(GP).next(history, [*CONFIGS, first])
    assert second != first


def test_a_trial_that_failed_without_a_result_is_passed_over():
    history = ledger(0.1, 0.2)
    history.ask(RungStep(2, 0), "mmoe")
    history.tell(None)
    assert history.results_known_to(3) == [((0.1, 0.1),), ((0.2, 0.2),), None]
    assert history.results_known_to(1) == [()]  # trial 1 was begun before anything was told


THREE = ("click", "like", "share")
CONFIG = {
    "sharing.kind": "mmoe",
    "sharing.mmoe.experts": 40,
    "balancing.static.weight.2": 4.0,
    "balancing.static.weight.3": 0.5,
    "optim.lr": 0.004,
    "tower.layers": "9000",
    "optim.batch_size": 4096,
}


def test_the_file_opens_the_spaces_that_it_knows():
    spaces = [load_space("funnel"), load_space("quick")]
    alone = {"numeric.kind": "bucket", "interaction.kind": "none"}
    for space in (*spaces, *(plain.restricted({"loss.kind": "log"} | alone) for plain in spaces)):
        asked = ((1, THREE[:1]), (2, THREE[:2]), (3, THREE), (5, (*THREE, "buy", "save")))
        for (objectives, tasks), rows in product(asked, (0, 10**9)):
            openings = learnt(space, tasks, objectives, rows)
            assert 4 <= len(openings) <= 16
            assert len({tuple(opening.items()) for opening in openings}) == len(openings)
            names = set(space.defaults(tasks)) | {name for opening in openings for name in opening}
            assert all(set(opening) <= names for opening in openings)
            assert any(opening["sharing.kind"] == "single_task" for opening in openings)
            assert all(("loss.kind" in opening) == (space in spaces) for opening in openings)
            assert learnt(space, tasks, objectives, rows) == openings


def test_of_portfolios_that_fit_the_largest_counts_then_the_one_with_as_many_objectives(
    monkeypatch,
):
    space = load_space("quick").restricted({"loss.kind": "log"})
    (one,) = (opening for opening in learnt(space, THREE[:2], 2, 10**5)[:1])
    configs = [{**one, "optim.lr": rate} for rate in (0.001, 0.002, 0.003, 0.004)]
    portfolios = [
        {"rows": rows, "objectives": objectives, "configurations": [config]}
        for rows, objectives, config in zip(
            (10**3, 10**5, 10**5, 10**7), (2, 2, 4, 2), configs, strict=True
        )
    ]
    monkeypatch.setattr("bench.search.plan.read_portfolios", lambda: portfolios)
    for rows, objectives, chosen in (
        (10**4, 2, 0),
        (10**5, 2, 1),
        (10**6, 2, 1),
        (10**6, 5, 2),
        (10**8, 4, 3),
    ):
        assert [opening["optim.lr"] for opening in learnt(space, THREE[:2], objectives, rows)] == [
            configs[chosen]["optim.lr"]
        ]
    assert learnt(space, THREE[:2], 2, 10) == []


@pytest.mark.parametrize("name", ["joint", "wide"])
def test_a_space_with_a_choice_that_no_configuration_names_begins_with_its_defaults(name):
    assert learnt(load_space(name), THREE, 3, 10**9) == []


def test_the_best_of_a_portfolio_is_tried_with_each_kind_of_numbers_and_the_last_ones_leave_it_open():
    space = load_space("quick").restricted({"loss.kind": "log"})
    openings = learnt(space, THREE[:2], 2, 10**5)
    first = beginning(space, THREE[:2], openings)
    assert {opening[NUMERIC] for opening in first if opening.items() >= openings[0].items()} == set(
        space.branches(NUMERIC)
    )
    rest = len(openings) - LEARNT_FIRST
    assert all(NUMERIC in opening for opening in first[:-rest])
    assert list(first[-rest:]) == openings[LEARNT_FIRST:]
    assert not any(NUMERIC in opening for opening in first[-rest:])


def test_a_search_begins_with_the_baseline_then_the_best_of_the_portfolio_then_defaults_then_the_rest():
    tasks = ("click", "like")
    ple, single = (
        {**fitted(CONFIG | {"sharing.kind": kind}, toy_space(), tasks)}
        for kind in ("ple", "single_task")
    )
    five = [ple | {"optim.lr": 0.001 * rate} for rate in range(1, 6)]
    plan = toy_plan(portfolio=(*five, single), tries=2)
    kinds = toy_space().branches("sharing.kind")
    defaults = [toy_space().defaults(tasks, {"sharing.kind": kind}) for kind in kinds]
    openings = list(plan.openings)
    assert openings[:3] == [single, *five[:2]]
    assert openings[3:9] == [*defaults, *five[2:]]
    tried = [opening["sharing.kind"] for opening in openings]
    assert {kind: tried.count(kind) for kind in tried} == {"single_task": 3, "ple": 6, "mmoe": 3}
    assert plan.identity() != toy_plan(tries=2).identity()
