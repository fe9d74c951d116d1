"""Deploying a pick: its fusion becomes the score of one network, or a sentence refuses before any training."""

from bench.core.records import Point
from bench.core.schema import Task
from bench.results.points import parts_of

TASKS = (Task("click"), Task("buy", parent="click"))


def point(kind, number=None, **config):
    return Point(kind, config, str(config.get("sharing.kind", kind)), number)


SINGLE = [point("trial", at, **{"sharing.kind": "single_task"}) for at in (3, 5)]


TREES = point("trees", **{"trees.click.leaves": 7})
NAMES = [task.name for task in TASKS]


def test_a_blend_has_the_network_and_the_trees_where_it_takes_some_of_both():
    def blend(click, buy):
        shares = {"blend.share.click": click, "blend.share.buy": buy}
        made = point("blend", **{"blend.network": "5", "blend.trees": "trees", **shares})
        return parts_of(made, [*SINGLE, TREES], NAMES)

    assert blend(0.75, 0.0) == [(SINGLE[1], (0.75, 0.0)), (TREES, (0.25, 1.0))]
    assert blend(1.0, 1.0) == [(SINGLE[1], (1.0, 1.0))]
