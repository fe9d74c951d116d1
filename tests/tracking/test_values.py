"""What is logged of a record, before MLflow sees it."""

from dataclasses import replace

import pytest
from found import history

from bench.core.records import RungResult
from bench.tracking.values import volumes


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
def test_steps_and_times_never_fall_and_depend_on_no_batch(records, by_rungs):
    whole = history(by_rungs)
    whole.add(records, 8)
    points = volumes(whole)
    assert {point.name for point in points} == {"hypervolume.by_samples" if by_rungs else "hypervolume"}
    assert len(points) == (8 if by_rungs else 4)
    for values in ([point.step for point in points], [point.time for point in points]):
        assert values == sorted(values)
    live = history(by_rungs)
    for told in range(1, 9):
        live.add([records[(told - 1) % 4]], told)
    assert live.rows == whole.rows  # one at a time as all at once
