import numpy as np
import pytest
from scipy.optimize import minimize

from bench.balancing.gramian import Gradients, least_distance


@pytest.mark.parametrize("tasks", range(1, 7))
def test_gradients_have_the_gramian_that_they_came_from(tasks):
    jacobian = np.random.default_rng(0).standard_normal((tasks, 9)) * np.logspace(-10, 10, tasks)[:, None]
    found = Gradients.of(jacobian @ jacobian.T)
    norms = np.linalg.norm(jacobian, axis=1)
    np.testing.assert_allclose(found.norms, norms)
    unit = jacobian / norms[:, None]
    np.testing.assert_allclose(found.directions.T @ found.directions, unit @ unit.T, atol=1e-12)


@pytest.mark.parametrize("tasks", range(1, 7))
def test_least_distance_is_the_shortest(tasks):
    rng = np.random.default_rng(tasks)
    for _ in range(5):
        directions, bounds = rng.standard_normal((tasks, tasks)), rng.standard_normal(tasks)
        z, r = least_distance(directions, bounds)
        e = directions @ z / r
        reference = minimize(
            lambda e: e @ e,
            np.linalg.solve(directions.T, np.abs(bounds)),
            jac=lambda e: 2 * e,
            method="SLSQP",
            constraints={
                "type": "ineq",
                "fun": lambda e, d=directions, b=bounds: d.T @ e - b,
                "jac": lambda _, d=directions: d.T,
            },
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert (directions.T @ e >= bounds - 1e-8).all()
        assert (z >= 0).all()
        assert e @ e == pytest.approx(1 / r - 1)
        assert e @ e == pytest.approx(reference.fun, rel=1e-5, abs=1e-9)


def test_bounds_that_cannot_hold_come_with_a_proof():
    directions = np.array([[1.0, -1.0], [0.0, 0.0]])
    bounds = np.array([1.0, 0.5])
    z, r = least_distance(directions, bounds)
    assert r == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(directions @ z, 0, atol=1e-12)
    assert bounds @ z > 0
