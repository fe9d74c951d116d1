"""What is logged of a record, before MLflow sees it."""

import math
from dataclasses import replace

import pytest
from found import found_in, history

from bench.core.records import RungResult
from bench.runs.reporting import on_trials
from bench.tracking.values import UNPLACED, volumes


def test_place_on_the_front(make_trial):
    records = [
        make_trial(0, 0.70, 0.80, "single_task"),
        make_trial(1, 0.72, 0.81, replicates=((0.71, 0.82), (0.73, 0.84))),
        make_trial(2, 0.70, 0.70, replicates=((0.70, 0.70), (0.71, 0.71))),
    ]
    found = found_in(records)
    placed = on_trials(found.frontier, found.pick)
    assert not any(math.isfinite(each.value) for each in placed[0][0])  # such values are not sent
    assert placed[0][1] == UNPLACED | {"seesaw.until": "none"}
    values = {point.name: point.value for point in placed[1][0]}
    assert math.isclose(values["test/like.auc.mean"], 0.83)
    assert math.isclose(values["confirm/click.auc.sd"], 0.02 / math.sqrt(2))
    assert 0.5 < (sure := values["front.p_nondominated"]) <= 1
    tags = {"front.on_front": "true", "front.rank": "0", "seesaw.picked": "true", "seesaw.until": "none"}
    assert placed[1][1] == tags | {"front.p_nondominated": f"{sure:.4f}"}
    assert (placed[2][1]["front.on_front"], placed[2][1]["front.rank"]) == ("false", "1")


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
def test_steps_and_times_never_fall(records, by_rungs):
    whole = history(by_rungs)
    whole.add(records, 8)
    points = volumes(whole)
    assert {point.name for point in points} == {"hypervolume.by_samples" if by_rungs else "hypervolume"}
    assert len(points) == (8 if by_rungs else 4)
    for values in ([point.step for point in points], [point.time for point in points]):
        assert values == sorted(values)


@pytest.mark.parametrize("by_rungs", [True, False])
def test_one_at_a_time_equals_all_at_once(records, by_rungs):
    later, live = history(by_rungs), history(by_rungs)
    later.add(records, 8)
    for told in range(1, 9):
        live.add([records[(told - 1) % 4]], told)
    assert live.rows == later.rows
