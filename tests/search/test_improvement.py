from __future__ import annotations

import moocore
import numpy as np
import pytest

from bench.search.improvement import expected, merit


@pytest.mark.parametrize(("objectives", "tolerance"), [(1, 1e-9), (2, 1e-9), (3, 0.25)])
def test_improvements_are_in_proportion_to_hypervolume(objectives: int, tolerance: float) -> None:
    """Against exact hypervolume: one factor for all points, up to the number of directions."""
    rng = np.random.default_rng(0)
    front, points = rng.random((6, objectives)), 1 + rng.random((12, objectives))
    reference = np.full(objectives, -0.2)
    found = expected(points[None], front, reference)
    if objectives == 1:
        exact = points[:, 0] - front.max()
    else:
        of = [moocore.hypervolume(np.vstack([front, p]), ref=reference, maximise=True) for p in points]
        exact = np.array(of) - moocore.hypervolume(front, ref=reference, maximise=True)
    ratio = found / exact
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=tolerance)


def test_what_is_dominated_or_below_the_reference_adds_nothing() -> None:
    front = np.array([[1.0, 2.0], [2.0, 1.0]])
    points = np.array([[[0.9, 1.9], [1.0, 2.0], [-1.0, 9.0]]])
    np.testing.assert_array_equal(expected(points, front, np.zeros(2)), 0)


def test_samples_are_averaged() -> None:
    points = np.array([[[1.0, 1.0]], [[3.0, 3.0]]])
    one, two = (expected(points[[i]], np.empty((0, 2)), np.zeros(2)) for i in (0, 1))
    assert expected(points, np.empty((0, 2)), np.zeros(2)) == pytest.approx((one + two) / 2)


def test_what_adds_nothing_is_in_order_of_how_far_it_is_from_that() -> None:
    front, reference = np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros(2)
    points = np.array([[[0.1, 0.1], [0.9, 1.9], [1.4, 0.9], [2.0, 2.0]]])
    found = merit(points, front, reference)
    assert (found[:3] < 0).all()
    assert found[3] == pytest.approx(expected(points, front, reference)[3])
    assert found.argsort().tolist() == [0, 1, 2, 3]
    both = merit(np.concatenate([points, points - 1]), front, reference)
    np.testing.assert_allclose(both[:3], found[:3])  # the best sample counts


def test_what_is_beyond_the_reference_comes_after_what_is_within() -> None:
    points = np.array([[[-1.0, 9.0], [-0.5, 9.0], [0.5, 0.5]]])
    found = merit(points, np.array([[1.0, 1.0]]), np.zeros(2))
    assert found.argsort().tolist() == [0, 1, 2]
