"""The hypervolume by jobs: the same however the records come, and in the order of its steps for MLflow, too."""

from dataclasses import replace

import pytest

from bench.frontier.history import History
from bench.records import RungResult
from bench.tracking.volumes import BY_SAMPLES, HYPERVOLUME, volumes

REFERENCE = {"click.auc": 0.5, "like.auc": 0.5}


@pytest.fixture
def records(make_trial):
    """Trials at two rungs; all first rungs are told before any second one, and take longer the earlier they began."""
    found = []
    for number in range(4):
        whole = make_trial(number, 0.6 + number / 100, 0.8 - number / 100)
        rungs = tuple(RungResult(100 * (1 + r), 4 * r + number, whole.metrics, 50.0 - 9 * number) for r in (0, 1))
        found.append(replace(whole, rungs=rungs, started=1.9e9 + number))
    return found


@pytest.mark.parametrize("by_rungs", [True, False])
def test_steps_and_times_never_fall(records, objectives, by_rungs):
    history = History(objectives, REFERENCE, by_rungs)
    history.add(records, 8)
    points = volumes(history)
    assert {point.name for point in points} == {BY_SAMPLES if by_rungs else HYPERVOLUME}
    assert len(points) == (8 if by_rungs else 4)
    for values in ([point.step for point in points], [point.time for point in points]):
        assert values == sorted(values)


@pytest.mark.parametrize("by_rungs", [True, False])
def test_one_at_a_time_equals_all_at_once(records, objectives, by_rungs):
    later, live = (History(objectives, REFERENCE, by_rungs) for _ in range(2))
    later.add(records, 8)
    for told in range(1, 9):
        live.add([records[(told - 1) % 4]], told)
    assert live.rows == later.rows


def test_where_a_lower_rung_is_the_better_one_the_higher_adds_nothing(records, objectives):
    peaked = []
    for record in records:
        low, high = record.rungs
        better = {name: value + 0.05 for name, value in low.metrics.items()}
        peaked.append(replace(record, rungs=(replace(low, metrics=better), high)))
    history = History(objectives, REFERENCE, True)
    history.add(peaked, 8)
    assert history.rows[-1].hypervolume == history.rows[3].hypervolume
    assert history.rows[-1].samples == 8 * 100
