"""Gaussian processes against slow twins; configurations as their rows of numbers, and the columns
that a row has.
"""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from search_toys import TASKS, toy_space

from bench.search.encoding import Encoding
from bench.search.gaussian import JITTER, Kernel, Posterior, loss
from bench.search.gp import Warp
from bench.search.space import load_space

SHAPE = Encoding(toy_space(), TASKS)
KERNEL = Kernel(SHAPE.options, 2)


def sight(count, seed=0):
    rng = np.random.default_rng(seed)
    return SHAPE.draw(count, rng), rng.choice([0.0, 0.4, 1.0], count), rng.normal(size=(count, 2))


def slow_kernel(a, low, b, low2, parameters):
    """One entry, read off the module's text."""
    value, deviation = 1.0, parameters.deviation * low * low2
    for column, options in enumerate(SHAPE.options):
        weight, deviating, length = (
            parameters.weights[column],
            parameters.deviating[column],
            parameters.lengths[column],
        )
        similarity = 0.0
        if not (np.isnan(a[column]) or np.isnan(b[column])):
            gap = a[column] - b[column]
            similarity = float(gap == 0) if options else 1 / (1 + gap**2 / length)
        value *= (1 + weight * similarity) / (1 + weight)
        deviation *= (1 + deviating * similarity) / (1 + deviating)
    return float(value + deviation)


def test_posterior_is_that_of_a_slow_twin():
    rows, low, values = sight(25)
    posterior = Posterior(KERNEL, rows, low, values, np.arange(25))
    parameters, new = posterior.settings, SHAPE.draw(6, np.random.default_rng(9))
    k = np.array(
        [
            [slow_kernel(a, x, b, y, parameters) for b, y in zip(rows, low, strict=True)]
            for a, x in zip(rows, low, strict=True)
        ]
    )
    across = np.array(
        [[slow_kernel(a, 0, b, y, parameters) for b, y in zip(rows, low, strict=True)] for a in new]
    )
    prior = np.array([slow_kernel(a, 0, a, 0, parameters) for a in new])
    for mean, deviation, column, noise in zip(
        *(part.T for part in posterior.predict(new)), values.T, parameters.noise, strict=True
    ):
        inverse = np.linalg.inv(k + np.diag(noise * parameters.growth**low + JITTER))
        remaining = prior - np.einsum("in,nk,ik->i", across, inverse, across)
        np.testing.assert_allclose(mean, across @ inverse @ column, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(
            deviation, np.sqrt(remaining * (column @ inverse @ column) / 25), rtol=1e-5
        )


def test_the_gradient_is_that_of_the_loss():
    rows, low, values = sight(40)
    pairs = KERNEL.pairs(rows)
    theta = KERNEL.mean + 0.3 * np.random.default_rng(1).normal(size=len(KERNEL.mean))
    numeric = optimize.approx_fprime(theta, lambda x: loss(x, KERNEL, pairs, low, values)[0], 1e-6)
    np.testing.assert_allclose(loss(theta, KERNEL, pairs, low, values)[1], numeric, atol=2e-4)


def test_the_loss_is_that_of_the_posterior_density():
    """Against SciPy's normal density, with amplitudes at their most likely value: up to a
    constant.
    """
    rows, low, values = sight(30)
    differences = []
    for shift in (0.0, 0.2):
        theta = KERNEL.mean + shift
        parameters = KERNEL.settings(theta)
        slow = 0.5 * (((theta - KERNEL.mean) / KERNEL.spread) ** 2).sum()
        for column, noise in zip(values.T, KERNEL.noise(low, parameters), strict=True):
            k = KERNEL.covariance(rows, low, parameters) + np.diag(noise)
            amplitude = column @ np.linalg.solve(k, column) / 30
            slow -= stats.multivariate_normal(np.zeros(30), amplitude * k).logpdf(column)
        differences.append(loss(theta, KERNEL, KERNEL.pairs(rows), low, values)[0] - slow)
    assert differences[0] == pytest.approx(differences[1], abs=1e-6)


def test_a_believed_row_shrinks_the_deviation_and_leaves_the_mean():
    """As if the process had been given the mean there, with the same settings."""
    rows, low, values = sight(25)
    before = Posterior(KERNEL, rows, low, values, np.arange(25))
    new = SHAPE.draw(9, np.random.default_rng(9))
    after = before.believing(new[:2]).believing(new[2:4])
    parameters = before.settings
    all_rows, lows = np.concatenate([rows, new[:4]]), np.concatenate([low, np.zeros(4)])
    k = KERNEL.covariance(all_rows, lows, parameters) + np.diag(KERNEL.noise(lows, parameters)[0])
    across = KERNEL.values(
        new, np.concatenate([rows, new[:4]]), parameters.weights, parameters.lengths
    )
    prior = np.diag(KERNEL.values(new, new, parameters.weights, parameters.lengths))
    remaining = prior - np.einsum("in,nk,ik->i", across, np.linalg.inv(k), across)
    was = prior - np.einsum(
        "in,nk,ik->i", across[:, :25], np.linalg.inv(k[:25, :25]), across[:, :25]
    )
    (mean, deviation), (believed, smaller) = before.predict(new), after.predict(new)
    np.testing.assert_allclose(believed, mean)
    np.testing.assert_allclose((smaller / deviation)[:, 0] ** 2, remaining / was, rtol=1e-5)
    assert (smaller < deviation).all()


def test_warp_keeps_the_order_and_comes_back():
    values = np.random.default_rng(0).normal(size=(50, 2)) ** 3
    warp = Warp(values)
    warped = warp.to(values)
    np.testing.assert_allclose(warped.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(warp.back(warped), values, atol=1e-9)
    behind = values.max(axis=0) - values  # in units of the median, on a logarithmic scale
    scaled = (warped.max(axis=0) - warped) / (warped.max(axis=0) - np.median(warped, axis=0))
    np.testing.assert_allclose(
        scaled, np.log1p(behind / np.median(behind, axis=0)) / np.log(2), rtol=0.02
    )
    beyond = np.linspace(-3, values.max() + 2, 40)[:, None] * np.ones(2)
    assert (np.diff(warp.to(beyond), axis=0) > 0).all()
    assert warp.back(warp.to(beyond)) == pytest.approx(beyond)


@pytest.mark.parametrize(
    "space", [toy_space(), load_space("quick"), load_space("wide")], ids=["toy", "quick", "wide"]
)
def test_configurations_come_back(space):
    encoding = Encoding(space, TASKS)
    for seed in range(60):
        config = space.sample(np.random.default_rng(seed), TASKS)
        (row,) = encoding.rows([config])
        back = {
            name: encoding.nodes[name].decode(row[column])
            for name, column in encoding.column.items()
            if not np.isnan(row[column])
        }
        searched = {name: value for name, value in config.items() if name in encoding.column}
        assert back == pytest.approx(searched)
        assert [type(value) for value in back.values()] == [type(searched[name]) for name in back]
        numbers = row[(encoding.options == 0) & ~np.isnan(row)]
        assert ((numbers >= 0) & (numbers <= 1)).all()


def test_every_number_stands_for_a_value_in_bounds():
    encoding = Encoding(toy_space(), TASKS)
    levels = [encoding.nodes["sharing.ple.levels"].decode(x) for x in np.linspace(0, 1, 1000)]
    assert [levels.count(level) for level in range(1, 6)] == pytest.approx([200] * 5, abs=2)
    assert encoding.nodes["optim.lr"].decode(1.0) <= 1e-1
    assert math.isclose(encoding.nodes["optim.lr"].decode(0.0), 1e-5)


def random_rows(count, seed=0):
    return SHAPE.draw(count, np.random.default_rng(seed))


def valid(row, shape=SHAPE):
    """A row has what its configuration has, and stands for it exactly."""
    return bool(np.allclose(shape.rows([shape.config(row)])[0], row, equal_nan=True, atol=1e-9))


@pytest.mark.parametrize("name", ["quick", "funnel", "joint", "losses", "wide"])
def test_every_way_of_making_rows_makes_configurations(name):
    """`config` walks the space's tree, which knows nothing of columns."""
    shape, rng = Encoding(load_space(name), ("a", "b", "c")), np.random.default_rng(1)
    rows = shape.draw(60, rng)
    for generated in (rows, shape.vary(rows, 0.3, rng), shape.cross(rows, rows[::-1], rng)):
        assert all(valid(row, shape) for row in generated)


@pytest.mark.slow
def test_rows_are_drawn_as_the_space_draws():
    rows, rng = random_rows(4000), np.random.default_rng(5)
    drawn = SHAPE.rows([toy_space().sample(rng, TASKS) for _ in range(4000)])
    np.testing.assert_allclose(np.isnan(rows).mean(axis=0), np.isnan(drawn).mean(axis=0), atol=0.04)
    np.testing.assert_allclose(
        np.nanmean(rows, axis=0), np.nanmean(drawn, axis=0), rtol=0.1, atol=0.03
    )


def test_rows_stand_for_what_is_pinned():
    rng = np.random.default_rng(2)
    rows = random_rows(30)
    pinned = {"sharing.kind": "mmoe", "optim.lr": 0.01}
    (pinned_row,) = SHAPE.rows([pinned])
    fixed = ~np.isnan(pinned_row)
    for generated in (
        SHAPE.draw(30, rng, pinned),
        SHAPE.vary(rows, 0.3, rng, pinned),
        SHAPE.cross(rows, rows, rng, pinned),
    ):
        assert (generated[:, fixed] == pinned_row[fixed]).all()
        assert all("sharing.mmoe.experts" in SHAPE.config(row, pinned) for row in generated)


def test_a_change_is_small_on_both_sides_also_beside_a_bound():
    rng, column = np.random.default_rng(0), SHAPE.column["optim.lr"]
    for value in (0.03, 0.5, 0.97):
        rows = random_rows(1500)
        rows[:, column] = value
        changed = SHAPE.vary(rows, 0.9, rng)[:, column]
        changed = changed[changed != value]
        assert not np.isin(changed, (0, 1)).any()  # a step beyond a bound comes back
        near = np.abs(changed - value) < 0.2
        assert 0.65 < near.mean() < 0.95  # the others are new draws
        assert np.abs(changed - value)[near].mean() == pytest.approx(0.07, abs=0.02)


def test_a_child_has_only_what_a_parent_has():
    """A branch's own parameters come from the parent that has the branch: nothing is drawn
    again.
    """
    first, second = random_rows(200, 1), random_rows(200, 2)
    children = SHAPE.cross(first, second, np.random.default_rng(4))
    inherited = (children == first) | (children == second) | np.isnan(children)
    # Only a switch within the branch of one, which the other lacks, can bring in what neither has.
    assert inherited.mean() > 0.99
    same = SHAPE.cross(first, first, np.random.default_rng(4))
    np.testing.assert_allclose(same, first)
