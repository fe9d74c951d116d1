"""The portfolio: its file, what becomes of it in a space, and how a search begins with it."""

from itertools import product

import pytest
from search_toys import toy_plan, toy_space

from bench.search.plan import LEARNT_FIRST, NUMERIC, beginning, fitted, learnt
from bench.search.space import load_space

TASKS = ("click", "like", "share")
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
    within, alone = [load_space("funnel"), load_space("quick")], {"numeric.kind": "bucket", "interaction.kind": "none"}
    for space in (*within, *(each.restricted({"loss.kind": "log"} | alone) for each in within)):
        asked = ((1, TASKS[:1]), (2, TASKS[:2]), (3, TASKS), (5, (*TASKS, "buy", "save")))
        for (objectives, tasks), rows in product(asked, (0, 10**9)):
            found = learnt(space, tasks, objectives, rows)
            assert 4 <= len(found) <= 16
            assert len({tuple(each.items()) for each in found}) == len(found)
            names = set(space.defaults(tasks)) | {name for each in found for name in each}
            assert all(set(each) <= names for each in found)
            assert any(each["sharing.kind"] == "single_task" for each in found)
            assert all(("loss.kind" in each) == (space in within) for each in found)
            assert learnt(space, tasks, objectives, rows) == found


def test_of_portfolios_that_fit_the_largest_counts_then_the_one_with_as_many_objectives(monkeypatch):
    space = load_space("quick").restricted({"loss.kind": "log"})
    (one,) = (each for each in learnt(space, TASKS[:2], 2, 10**5)[:1])
    own = [{**one, "optim.lr": rate} for rate in (0.001, 0.002, 0.003, 0.004)]
    made = [
        {"rows": rows, "objectives": objectives, "configurations": [config]}
        for rows, objectives, config in zip((10**3, 10**5, 10**5, 10**7), (2, 2, 4, 2), own, strict=True)
    ]
    monkeypatch.setattr("bench.search.plan.read", lambda: made)
    for rows, objectives, chosen in ((10**4, 2, 0), (10**5, 2, 1), (10**6, 2, 1), (10**6, 5, 2), (10**8, 4, 3)):
        assert [each["optim.lr"] for each in learnt(space, TASKS[:2], objectives, rows)] == [own[chosen]["optim.lr"]]
    assert learnt(space, TASKS[:2], 2, 10) == []


@pytest.mark.parametrize("name", ["joint", "wide"])
def test_a_space_with_a_choice_that_no_configuration_names_begins_with_its_defaults(name):
    assert learnt(load_space(name), TASKS, 3, 10**9) == []


def test_the_best_of_a_portfolio_is_tried_with_each_kind_of_numbers_and_the_last_ones_leave_it_open():
    space = load_space("quick").restricted({"loss.kind": "log"})
    found = learnt(space, TASKS[:2], 2, 10**5)
    first = beginning(space, TASKS[:2], found)
    assert {each[NUMERIC] for each in first if each.items() >= found[0].items()} == set(space.branches(NUMERIC))
    rest = len(found) - LEARNT_FIRST
    assert all(NUMERIC in each for each in first[:-rest])
    assert list(first[-rest:]) == found[LEARNT_FIRST:]
    assert not any(NUMERIC in each for each in first[-rest:])


def test_a_search_begins_with_the_baseline_then_the_best_of_the_portfolio_then_defaults_then_the_rest():
    tasks = ("click", "like")
    ple, own = ({**fitted(CONFIG | {"sharing.kind": kind}, toy_space(), tasks)} for kind in ("ple", "single_task"))
    five = [ple | {"optim.lr": 0.001 * rate} for rate in range(1, 6)]
    plan = toy_plan(portfolio=(*five, own), tries=2)
    kinds = toy_space().branches("sharing.kind")
    defaults = [toy_space().defaults(tasks, {"sharing.kind": kind}) for kind in kinds]
    found = list(plan.openings)
    assert found[:3] == [own, *five[:2]]
    assert found[3:9] == [*defaults, *five[2:]]
    tried = [each["sharing.kind"] for each in found]
    assert {kind: tried.count(kind) for kind in tried} == {"single_task": 3, "ple": 6, "mmoe": 3}
    assert plan.identity() != toy_plan(tries=2).identity()
