"""Fronts read back through MLflow's API alone, over several runs, from a real sqlite store."""

import math

import pytest
from found import OBJECTIVES, found_in

from bench.tracking.reading import frontier_of


@pytest.fixture
def log(send, asked):
    """Logs records as a run of the test's own experiment."""

    def logged(records, run, objectives=OBJECTIVES, **more):
        found = found_in(records, objectives)
        send(*records, front=found, experiment=asked["identity"]["run"], run=run, objectives=objectives, **more)
        return found.frontier, found.pick

    return logged


@pytest.fixture
def read(tracker, asked):
    def found():
        return frontier_of(asked["identity"]["run"], tracker.uri)

    return found


@pytest.fixture
def confirmed(make_trial):
    return [
        make_trial(0),
        make_trial(1, 0.71, 0.80),
        make_trial(2, 0.74, 0.81, replicates=((0.73, 0.80), (0.75, 0.82))),
        make_trial(3, 0.70, 0.79, replicates=((0.70, 0.83), (0.71, 0.84))),
    ]


def test_the_front_of_one_run_is_its_own(log, read, confirmed):
    front, chosen = log(confirmed, "a")
    table, expected = read(), front.wide[front.front]
    assert table["trial"].tolist() == expected["trial"].tolist() == [2, 3]
    assert table["picked"].tolist() == [chosen.trial == 2, chosen.trial == 3]
    for key in front.keys:
        assert table[f"{key}.mean"].tolist() == pytest.approx(expected[key].tolist())
    assert table["front.p_nondominated"].tolist() == pytest.approx(expected["p_nondominated"].tolist())
    assert table["sharing.kind"].tolist() == ["mmoe", "mmoe"]
    assert math.isclose(table["cost/parameters"].iloc[0], 1002)
    assert table.attrs["hypervolume"] == {("census-income", "f00d"): pytest.approx(front.hypervolume)}
    assert table.attrs["notes"] == []


def test_runs_on_the_same_data_are_merged(log, read, confirmed, make_trial):
    front, _ = log(confirmed, "a")
    log([make_trial(0, 0.78, 0.81, replicates=((0.77, 0.815), (0.76, 0.815)))], "b", seed="8")
    table = read()
    assert list(zip(table["run"], table["trial"], strict=True)) == [("a", 3), ("b", 0)]  # b's dominates a's second
    assert table.attrs["hypervolume"]["census-income", "f00d"] > front.hypervolume


def test_other_data_are_not_merged_and_a_sentence_says_so(log, read, confirmed, make_trial):
    log(confirmed, "a")
    log([make_trial(0, 0.9, 0.9, replicates=((0.9, 0.9), (0.9, 0.9)))], "b", fingerprint="beef")
    table = read()
    assert set(zip(table["run"], table["fingerprint"], strict=True)) == {("a", "f00d"), ("b", "beef")}
    said = "census-income: not merged, since the data were prepared differently ({}; {})"
    runs = "beef: b", "f00d: a"
    assert table.attrs["notes"] in ([said.format(*runs)], [said.format(*runs[::-1])])
    log([make_trial(0)], "c", OBJECTIVES[:1], dataset="other")
    log([make_trial(0)], "d", dataset="other")
    assert "other: not merged, since their objectives differ (f00d: c; f00d: d)" in read().attrs["notes"]
