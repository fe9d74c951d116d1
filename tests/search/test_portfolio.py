"""The portfolio: its file, what becomes of it in a space, and how a search begins with it."""

from __future__ import annotations

from itertools import product

import pytest
from search_toys import toy_plan, toy_space

from bench.search.nodes import Choice, Float, Int
from bench.search.plan import fitted, learnt
from bench.search.space import Space, load_space

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


def leaf(node: Int | Float | Choice) -> Space:
    return Space("one leaf", "here", {"x": node, "sharing.kind": toy_space().tree["sharing.kind"]})


def test_the_file_opens_the_spaces_that_it_knows() -> None:
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


@pytest.mark.parametrize("name", ["joint", "wide"])
def test_a_space_with_a_choice_that_no_configuration_names_begins_with_its_defaults(name: str) -> None:
    assert learnt(load_space(name), TASKS, 3, 10**9) == []


def test_values_are_those_of_the_space() -> None:
    found = fitted(CONFIG, toy_space(), TASKS)
    assert found == {
        "sharing.kind": "mmoe",
        "sharing.mmoe.experts": 16,  # the most that the space has
        "sharing.mmoe.dropout": 0.0,  # not in the configuration: the default
        "balancing.static.weight.like": 4.0,
        "balancing.static.weight.share": 0.5,
        "optim.lr": 0.004,
        "tower.layers": "32",  # an option that the space has not
    }
    assert fitted(CONFIG, toy_space(), TASKS[:2])["balancing.static.weight.like"] == 4.0
    assert fitted(CONFIG, toy_space(), (*TASKS, "buy"))["balancing.static.weight.buy"] == 1.0


def test_numbers_become_the_nearest() -> None:
    kind = {"sharing.kind": "ple"}
    whole, option = leaf(Int(low=1, high=9, step=4, default=1)), leaf(Choice(options=(512, 2048), default=512))
    assert [fitted(kind | {"x": x}, whole, TASKS)["x"] for x in (-3, 4, 6.9, 40)] == [1, 5, 5, 9]
    assert [fitted(kind | {"x": x}, option, TASKS)["x"] for x in (2048, 4096, "9")] == [2048, 2048, 512]
    assert fitted(kind | {"x": 7.0}, leaf(Float(low=0.0, high=0.4, default=0.1)), TASKS)["x"] == 0.4


def test_a_way_of_sharing_that_the_space_has_not_is_left_out() -> None:
    assert fitted(CONFIG | {"sharing.kind": "stem"}, toy_space(), TASKS) == {}
    fixed = toy_space().restricted({"sharing.kind": "ple"})
    assert fitted(CONFIG, fixed, TASKS) == {}
    assert "sharing.kind" not in fitted(CONFIG | {"sharing.kind": "ple"}, fixed, TASKS)


def test_a_search_begins_with_the_baseline_then_the_best_of_the_portfolio_then_defaults_then_the_rest() -> None:
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


def test_where_sharing_is_fixed_the_portfolio_is_all() -> None:
    fixed = toy_space().restricted({"sharing.kind": "single_task"})
    params = fitted(CONFIG | {"sharing.kind": "single_task"}, fixed, ("click", "like"))
    found = toy_plan(space=fixed, portfolio=(params,), tries=2).openings
    assert found == (params,)
