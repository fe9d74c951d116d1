import numpy as np
import pytest
from scipy import optimize, stats
from search_toys import TASKS, toy_space

from bench.search.gaussian import JITTER, Encoding, Kernel, Posterior, loss
from bench.search.gp import Warp

SHAPE = Encoding(toy_space(), TASKS)
KERNEL = Kernel(SHAPE.options, 2)


def sight(count, seed=0):
    rng = np.random.default_rng(seed)
    return SHAPE.draw(count, rng), rng.choice([0.0, 0.4, 1.0], count), rng.normal(size=(count, 2))


def slow_kernel(a, low, b, low2, of):
    """One entry, read off the module's text."""
    value, deviation = 1.0, of.deviation * low * low2
    for column, options in enumerate(SHAPE.options):
        weight, other, length = of.weights[column], of.deviating[column], of.lengths[column]
        alike = 0.0
        if not (np.isnan(a[column]) or np.isnan(b[column])):
            gap = a[column] - b[column]
            alike = float(gap == 0) if options else 1 / (1 + gap**2 / length)
        value *= (1 + weight * alike) / (1 + weight)
        deviation *= (1 + other * alike) / (1 + other)
    return float(value + deviation)


def test_posterior_is_that_of_a_slow_twin():
    rows, low, values = sight(25)
    found = Posterior(KERNEL, rows, low, values, np.arange(25))
    of, new = found.settings, SHAPE.draw(6, np.random.default_rng(9))
    k = np.array(
        [[slow_kernel(a, x, b, y, of) for b, y in zip(rows, low, strict=True)] for a, x in zip(rows, low, strict=True)]
    )
    across = np.array([[slow_kernel(a, 0, b, y, of) for b, y in zip(rows, low, strict=True)] for a in new])
    own = np.array([slow_kernel(a, 0, a, 0, of) for a in new])
    for mean, deviation, each, noise in zip(*(part.T for part in found.at(new)), values.T, of.noise, strict=True):
        inverse = np.linalg.inv(k + np.diag(noise * of.growth**low + JITTER))
        left = own - np.einsum("in,nk,ik->i", across, inverse, across)
        np.testing.assert_allclose(mean, across @ inverse @ each, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(deviation, np.sqrt(left * (each @ inverse @ each) / 25), rtol=1e-5)


def test_the_gradient_is_that_of_the_loss():
    rows, low, values = sight(40)
    pairs = KERNEL.pairs(rows)
    theta = KERNEL.mean + 0.3 * np.random.default_rng(1).normal(size=len(KERNEL.mean))
    numeric = optimize.approx_fprime(theta, lambda at: loss(at, KERNEL, pairs, low, values)[0], 1e-6)
    np.testing.assert_allclose(loss(theta, KERNEL, pairs, low, values)[1], numeric, atol=2e-4)


def test_the_loss_is_that_of_the_posterior_density():
    """Against SciPy's normal density, with amplitudes at their most likely value: up to a constant."""
    rows, low, values = sight(30)
    found = []
    for shift in (0.0, 0.2):
        theta = KERNEL.mean + shift
        of = KERNEL.settings(theta)
        slow = 0.5 * (((theta - KERNEL.mean) / KERNEL.spread) ** 2).sum()
        for each, noise in zip(values.T, KERNEL.noise(low, of), strict=True):
            k = KERNEL.covariance(rows, low, of) + np.diag(noise)
            amplitude = each @ np.linalg.solve(k, each) / 30
            slow -= stats.multivariate_normal(np.zeros(30), amplitude * k).logpdf(each)
        found.append(loss(theta, KERNEL, KERNEL.pairs(rows), low, values)[0] - slow)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_believed_row_shrinks_the_deviation_and_leaves_the_mean():
    """As if the process had been given the mean there, with the same settings."""
    rows, low, values = sight(25)
    before, new = Posterior(KERNEL, rows, low, values, np.arange(25)), SHAPE.draw(9, np.random.default_rng(9))
    after = before.believing(new[:2]).believing(new[2:4])
    of = before.settings
    every, lows = np.concatenate([rows, new[:4]]), np.concatenate([low, np.zeros(4)])
    k = KERNEL.covariance(every, lows, of) + np.diag(KERNEL.noise(lows, of)[0])
    across = KERNEL.values(new, np.concatenate([rows, new[:4]]), of, of.weights)
    own = np.diag(KERNEL.values(new, new, of, of.weights))
    left = own - np.einsum("in,nk,ik->i", across, np.linalg.inv(k), across)
    was = own - np.einsum("in,nk,ik->i", across[:, :25], np.linalg.inv(k[:25, :25]), across[:, :25])
    (mean, deviation), (believed, less) = before.at(new), after.at(new)
    np.testing.assert_allclose(believed, mean)
    np.testing.assert_allclose((less / deviation)[:, 0] ** 2, left / was, rtol=1e-5)
    assert (less < deviation).all()


def test_warp_keeps_the_order_and_comes_back():
    values = np.random.default_rng(0).normal(size=(50, 2)) ** 3
    warp = Warp(values)
    warped = warp.to(values)
    np.testing.assert_allclose(warped.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(warp.back(warped), values, atol=1e-9)
    behind = values.max(axis=0) - values  # in units of the median, on a logarithmic scale
    scaled = (warped.max(axis=0) - warped) / (warped.max(axis=0) - np.median(warped, axis=0))
    np.testing.assert_allclose(scaled, np.log1p(behind / np.median(behind, axis=0)) / np.log(2), rtol=0.02)
    more = np.linspace(-3, values.max() + 2, 40)[:, None] * np.ones(2)
    assert (np.diff(warp.to(more), axis=0) > 0).all()
    assert warp.back(warp.to(more)) == pytest.approx(more)
