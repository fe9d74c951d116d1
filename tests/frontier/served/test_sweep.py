"""Settings of a sweep: both ends, no duplicates, denser where a front bends."""

import numpy as np
import pytest

from bench.results.fusion import Fusion
from bench.results.served.sweep import Sweep


@pytest.mark.parametrize(("tasks", "least", "most"), [(2, 30, 40), (3, 30, 50), (4, 50, 80), (5, 50, 80)])
def test_a_lattice_has_both_ends_once(tasks, least, most):
    sweep = Sweep(tasks)
    assert least <= len(sweep.settings) <= most
    assert len(set(sweep.settings)) == len(sweep.settings)
    alone = [each for each in sweep.settings if max(each.weights) == 1.0]
    assert len(alone) == tasks
    assert {each.kind for each in alone} == {"power"}
    for each in sweep.settings:
        assert sum(each.weights) == pytest.approx(1)


def test_near_the_ends_weights_are_spaced_by_their_logarithm():
    weights = sorted(each.weights[1] for each in Sweep(2, ["power"]).settings)
    assert weights[1] < 0.01
    assert weights[2] / weights[1] > 3


def test_it_is_refined_where_the_front_has_a_gap_and_never_without_end():
    sweep = Sweep(2, ["power"])

    def outcomes():  # a jump between weights of .45 and .6, flat elsewhere
        a = np.array([each.weights[1] for each in sweep.settings])
        step = 1 / (1 + np.exp(-40 * (a - 0.52)))
        return np.stack([1 - step, step], axis=-1)[None]

    for _ in range(10):
        values = outcomes()
        if not (new := sweep.refine(values, np.ones(values.shape[:2], dtype=bool))):
            break
        assert all(0.3 < each.weights[1] < 0.7 for each in new)
    assert len(sweep.settings) <= 40


def test_a_setting_is_told_in_one_form():
    assert Fusion.of("sum", (0, 3)) == Fusion("power", (0.0, 1.0))
    assert Fusion.of("sum", (1, 3)) == Fusion("sum", (0.25, 0.75))
    assert Sweep(2, also=[Fusion.of("power", (3, 1))]).settings[0] == Fusion("power", (0.75, 0.25))
