from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from search_toys import TASKS, toy_space

from bench.search.gaussian import JITTER, Kernel, Posterior, Shape, loss
from bench.search.gp import Warp

SHAPE = Shape(toy_space(), TASKS)
KERNEL = Kernel(SHAPE.encoding.options, 2)
ALONE = Kernel(SHAPE.encoding.options, 1)


def sight(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return SHAPE.draw(count, rng), rng.choice([0.0, 0.4, 1.0], count), rng.normal(size=(count, 2))


def slow_kernel(a: np.ndarray, low: float, b: np.ndarray, low2: float, of: object) -> float:
    """One entry, read off the module's text."""
    value, deviation = 1.0, of.deviation * low * low2  # type: ignore[attr-defined]
    for column, options in enumerate(SHAPE.encoding.options):
        weight, other, length = of.weights[column], of.deviating[column], of.lengths[column]  # type: ignore[attr-defined]
        alike = 0.0
        if not (np.isnan(a[column]) or np.isnan(b[column])):
            gap = a[column] - b[column]
            alike = float(gap == 0) if options else 1 / (1 + gap**2 / length)
        value *= (1 + weight * alike) / (1 + weight)
        deviation *= (1 + other * alike) / (1 + other)
    return float(value + deviation)


def test_posterior_is_that_of_a_slow_twin() -> None:
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


def test_the_noise_of_a_rare_task_is_its_own() -> None:
    rng = np.random.default_rng(8)
    rows = SHAPE.draw(120, rng)
    true = rows[:, [SHAPE.encoding.column["optim.lr"]]]
    values = np.concatenate([true, true + 0.5 * rng.normal(size=true.shape)], axis=1)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    noise = Posterior(KERNEL, rows, np.zeros(120), scaled, np.arange(120)).settings.noise
    assert noise[1] > 20 * noise[0]


def test_the_kernel_is_one_of_a_process() -> None:
    """Positive definite on rows of all branches, which a distance over common parameters alone would not be."""
    rows, low, _ = sight(150)
    of = KERNEL.settings(KERNEL.mean)
    k = KERNEL.covariance(rows, low, of)
    np.testing.assert_allclose(k, k.T)
    assert np.linalg.eigvalsh(k).min() > -1e-9


def test_the_gradient_is_that_of_the_loss() -> None:
    rows, low, values = sight(40)
    pairs = KERNEL.pairs(rows)
    theta = KERNEL.mean + 0.3 * np.random.default_rng(1).normal(size=len(KERNEL.mean))
    numeric = optimize.approx_fprime(theta, lambda at: loss(at, KERNEL, pairs, low, values)[0], 1e-6)
    np.testing.assert_allclose(loss(theta, KERNEL, pairs, low, values)[1], numeric, atol=2e-4)


def test_the_loss_is_that_of_the_posterior_density() -> None:
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


def test_a_believed_row_shrinks_the_deviation_and_leaves_the_mean() -> None:
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


def test_a_shared_parameter_is_learnt_in_one_branch_for_another() -> None:
    rows = SHAPE.draw(400, np.random.default_rng(3))
    kind, rate = SHAPE.encoding.column["sharing.kind"], SHAPE.encoding.column["optim.lr"]
    seen = rows[rows[:, kind] != 0][:80]
    other = rows[rows[:, kind] == 0][:40]
    values = -((seen[:, [rate]] - 0.6) ** 2)
    scaled = (values - values.mean()) / values.std()
    mean, _ = Posterior(ALONE, seen, np.zeros(80), scaled, np.arange(80)).at(other)
    assert np.corrcoef(mean[:, 0], -((other[:, rate] - 0.6) ** 2))[0, 1] > 0.9


def test_what_learns_fast_is_told_from_what_is_good() -> None:
    """At the lowest rung one parameter rules, at full length another; few are seen at full length."""
    rows = SHAPE.draw(140, np.random.default_rng(5))
    rate, weight = (SHAPE.encoding.column[name] for name in ("optim.lr", "balancing.static.weight.like"))
    good, fast = rows[:, [weight]], rows[:, [weight]] + 2 * rows[:, [rate]]
    seen = np.concatenate([fast[:100], good[:25]])
    scaled = (seen - seen.mean()) / seen.std()
    low = np.repeat([1.0, 0.0], [100, 25])
    posterior = Posterior(ALONE, np.concatenate([rows[:100], rows[:25]]), low, scaled, np.arange(125))
    mean, _ = posterior.at(rows[100:])
    assert np.corrcoef(mean[:, 0], good[100:, 0])[0, 1] > 0.9
    assert posterior.settings.deviating[rate] > 3 * posterior.settings.weights[rate]


def test_warp_keeps_the_order_and_comes_back() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2)) ** 3
    warp = Warp(values)
    warped = warp.to(values)
    np.testing.assert_allclose(warped.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(warp.back(warped), values, atol=1e-9)
    more = np.linspace(-3, values.max() + 2, 40)[:, None] * np.ones(2)
    assert (np.diff(warp.to(more), axis=0) > 0).all()
    assert warp.back(warp.to(more)) == pytest.approx(more)
