"""The incremental archive against a hypervolume from scratch, over random sequences of new and replaced points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.frontier.archive import Archive
from bench.frontier.hypervolume import hypervolume, running
from bench.objectives import Objective

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))
THREE = (*TWO, Objective("c.auc", "maximize"))
REFERENCE = {"a.auc": 0.25, "b.logloss": 0.75, "c.auc": 0.0}
VALUE = st.one_of(st.integers(0, 4).map(lambda n: n / 4), st.floats(0, 1, width=16), st.just(float("nan")))


@pytest.mark.parametrize("objectives", [TWO, THREE], ids=["two", "three"])
@given(data=st.data())
def test_equals_the_volume_of_all_points_after_each_step(objectives, data):
    point = st.tuples(*[VALUE] * len(objectives))
    steps = data.draw(st.lists(st.tuples(st.integers(0, 8), point), max_size=25))
    archive, now = Archive(objectives, REFERENCE), {}
    for key, values in steps:
        now[key] = values
        expected = hypervolume(np.array(list(now.values())), objectives, REFERENCE)
        assert archive.put(key, np.array(values)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("objectives", [TWO, THREE], ids=["two", "three"])
def test_without_replacements_it_is_the_running_volume_bit_for_bit(objectives):
    """Live points and those of the frontier's history must be equal, or both would be logged."""
    values = np.random.default_rng(5).random((400, len(objectives)))
    archive = Archive(objectives, REFERENCE)
    found = np.maximum.accumulate([archive.put(i, point) for i, point in enumerate(values)])
    np.testing.assert_array_equal(found, running(values, objectives, REFERENCE))
