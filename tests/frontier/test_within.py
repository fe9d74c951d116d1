"""Areas over all rows and within groups: what tells users apart, and what ranks their rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.core.records import Point, Replicate
from bench.core.schema import Task
from bench.results.within import area_table, areas_of, warning

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", kind="regression"))


def point(name: str, click: list[float], buy: list[float]) -> Point:
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


def test_an_order_within_groups_that_may_be_chance_is_said_of_the_task_that_has_it() -> None:
    blind = point("trees", [0.49, 0.53, 0.51], [0.62, 0.64, 0.63])
    areas = areas_of([blind], TASKS)
    assert list(areas["trees"]) == ["click", "buy"]
    own = areas["trees"]["click"].groups
    low, high = stats.t.interval(0.9, 2, 0.51, stats.sem([0.49, 0.53, 0.51]))
    assert (own.low, own.high) == pytest.approx((low, high), abs=1e-3)
    told = warning(areas, "trees", "user_id")
    assert "click (AUC 0.86, within user_id 0.51" in told
    assert "buy" not in told


def test_nothing_is_said_where_it_is_surely_better_or_not_known() -> None:
    sure, unknown = point("trees", [0.6, 0.61, 0.62], [0.7, 0.71, 0.72]), Point("ensemble", {}, "ensemble")
    areas = areas_of([sure, unknown], TASKS)
    assert warning(areas, "trees", "user_id") == warning(areas, "ensemble", "user_id") == ""
    assert areas_of([unknown], TASKS) == {}
    assert np.isfinite(areas["trees"]["buy"].rows.value)


def test_a_table_has_both_areas_of_each_task_side_by_side() -> None:
    areas = areas_of([point("trees", [0.6, 0.61, 0.62], [0.7, 0.71, 0.72])], TASKS)
    table = pd.DataFrame({"point": ["trees"], "name": ["boosted trees"]})
    headers, ((name, *values),) = area_table(areas, table, "user")
    assert (name, headers) == (
        "boosted trees",
        ["point", "click, all rows", "click, within user", "buy, all rows", "buy, within user"],
    )
    assert [value.partition(" ")[0] for value in values] == ["0.8600", "0.6100", "0.7000", "0.7100"]
    assert area_table({}, table, "user")[1] == []
