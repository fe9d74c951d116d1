from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import f_oneway, rankdata

from bench.core.objectives import Objective
from bench.core.records import TrialRecord
from bench.results.importance import BINS, FEWEST, alone, grouping, importances
from bench.results.pareto import hypervolume

CLICK, RMSE = Objective("click.auc", "maximize"), Objective("watch.rmse", "minimize")


def trials(params: list[dict[str, Any]]) -> list[TrialRecord]:
    return [TrialRecord(i, "completed", each, each, "mmoe") for i, each in enumerate(params)]


def drawn(rng: np.random.Generator, count: int) -> tuple[list[TrialRecord], np.ndarray]:
    """Two kinds; of kind b a width that matters, and everywhere a rate that matters little and noise that does not."""
    params, merits = [], []
    for _ in range(count):
        kind = str(rng.choice(["a", "b"]))
        given: dict[str, Any] = {"kind": kind, "rate": float(rng.uniform()), "nothing": int(rng.integers(50))}
        if kind == "b":
            given["width"] = int(rng.choice([8, 16, 32]))
        params.append(given)
        merit = 1.5 * (kind == "b") + 0.06 * given.get("width", 0) + 0.6 * given["rate"]
        merits.append(merit + rng.normal(0, 0.5))
    return trials(params), np.array(merits)


def test_shares_are_those_of_an_analysis_of_variance() -> None:
    records, merits = drawn(np.random.default_rng(0), 300)
    kind = next(each for each in importances(records, merits, seed=1) if each.name == "kind")
    ranks = rankdata(merits)
    groups = [ranks[[record.params["kind"] == name for record in records]] for name in "ab"]
    statistic = float(f_oneway(*groups).statistic)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (300 - 2)
    assert kind.share == pytest.approx((statistic - 1) * within / ((ranks - ranks.mean()) ** 2).sum())


@pytest.mark.slow
def test_intervals_hold_the_truth_and_what_does_nothing_explains_nothing() -> None:
    rng = np.random.default_rng(5)
    many, values = drawn(rng, 20_000)
    truth = {each.name: each.share for each in importances(many, values, seed=0, draws=2)}
    assert truth["nothing"] < 0.001 < truth["rate"] < truth["width"] < truth["kind"]
    inside = dict.fromkeys(truth, 0)
    for world in range(100):
        for each in importances(*drawn(rng, 150), seed=world, draws=60):
            inside[each.name] += each.low <= truth[each.name] <= each.high
    assert all(count >= 82 for count in inside.values()), inside  # of 100; at a coverage of 90%, 1 in 200 has fewer


def test_a_branch_is_not_credited_to_its_parameters() -> None:
    rng = np.random.default_rng(2)
    params = [{"kind": "a"} if i % 2 else {"kind": "b", "width": float(rng.uniform())} for i in range(200)]
    found = {each.name: each for each in importances(trials(params), np.arange(200) % 2 * 9 + rng.normal(size=200), 0)}
    assert found["kind"].share > 0.7
    assert found["width"].share < 0.05
    assert found["width"].trials == 100


def test_it_is_silent_where_it_cannot_tell() -> None:
    records, merits = drawn(np.random.default_rng(0), FEWEST)
    assert importances(records, merits, seed=0) != []
    assert importances(records[1:], merits[1:], seed=0) == []
    assert importances(records, np.where(np.arange(FEWEST) == 3, np.nan, merits), seed=0) == []
    assert importances(records, np.ones(FEWEST), seed=0) == []
    assert importances(trials([{"lr": 0.1}] * 30), np.arange(30.0), seed=0) == []


def test_numbers_are_cut_into_ranges_and_everything_else_goes_by_value() -> None:
    assert grouping([3.0, 1.0, 2.0, None], [True, True, True, False]).tolist() == [2, 0, 1, -1]
    assert np.bincount(grouping(list(range(100)), [True] * 100)).tolist() == [100 // BINS] * BINS
    assert grouping(["x", True, None, "x"], [True] * 4).tolist() == [2, 1, 0, 2]


def test_the_hypervolume_of_a_point_alone_is_that_of_a_front_of_one() -> None:
    values = np.array([[0.7, 1.0], [0.6, 1.5], [0.5, 1.0], [0.9, 2.5], [np.nan, 1.0]])
    reference = {"click.auc": 0.5, "watch.rmse": 2.0}
    found = alone(values, (CLICK, RMSE), reference)
    for row in (0, 1):
        assert found[row] == pytest.approx(hypervolume(values[[row]], (CLICK, RMSE), reference))
    assert found[3] < found[2] == 0 < found[1]
    assert np.isnan(found[4])
