"""What is said beside a served front."""

import pytest
from scipy import stats

from bench.core.records import Point, Replicate
from bench.core.schema import Task
from bench.results.within import areas_of, warning

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", kind="regression"))


def point(name, click, buy):
    """One whose areas within groups are these, by replicate; rows add no noise."""
    runs = [
        Replicate(
            at,
            at,
            {"confirm/click.auc": 0.86, "confirm/click.gauc": own}
            | {"confirm/buy.ctcvr.auc": 0.7, "confirm/buy.ctcvr.gauc": other},
        )
        for at, (own, other) in enumerate(zip(click, buy, strict=True))
    ]
    return Point(name, {}, name, replicates=tuple(runs))


def test_an_order_within_groups_that_may_be_chance_is_said_of_the_task_that_has_it():
    blind = point("trees", [0.49, 0.53, 0.51], [0.62, 0.64, 0.63])
    areas = areas_of([blind], TASKS)
    assert list(areas["trees"]) == ["click", "buy"]
    own = areas["trees"]["click"].groups
    low, high = stats.t.interval(0.9, 2, 0.51, stats.sem([0.49, 0.53, 0.51]))
    assert (own.low, own.high) == pytest.approx((low, high), abs=1e-3)
    assert [task in warning(areas, "trees", "user_id") for task in ("click", "buy")] == [True, False]
