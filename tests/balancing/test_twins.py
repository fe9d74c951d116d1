"""Rules that torchjd lacks, against slow twins from the papers, with the departures that the docstrings state."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bench.balancing.gramian import Gradients
from bench.testing.balancing import OUTPUT, build, step


def rows_and_losses(seed, tasks=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 20, generator=generator, dtype=torch.float64), torch.rand(
        tasks, generator=generator
    ) + 0.1


def test_gradnorm_descends_its_own_loss():
    """By autograd on L_grad, in units of the mean norm."""
    balancer, w, firsts = build("gradnorm", 3), torch.ones(3, dtype=torch.float64), []
    for seed in range(10):
        rows, losses = rows_and_losses(seed)
        found = step(balancer, rows, losses)
        torch.testing.assert_close(found, w @ rows, rtol=1e-5, atol=1e-5)
        if seed < 3:
            firsts.append(losses.double())
            continue
        rates = losses.double() / torch.stack(firsts).mean(0)
        leaf = w.clone().requires_grad_()
        norms = leaf * rows.norm(dim=1)
        mean = norms.mean().detach()
        (norms / mean - (rates / rates.mean()) ** 1.5).abs().sum().backward()
        w = (w - 0.025 * leaf.grad).clamp(min=0.01)
        w = 3 * w / w.sum()


def test_db_mtl_averages_gradients_of_log_losses_and_makes_them_equally_long():
    balancer, y = build("db_mtl", 3), None
    for k in range(1, 7):
        rows, losses = rows_and_losses(k)
        g = rows / losses.double()[:, None]
        beta = 0.9 / math.sqrt(k)
        y = g if y is None else torch.where(torch.arange(20) < OUTPUT, g, beta * y + (1 - beta) * g)
        norms = y.norm(dim=1)
        expected = losses.double().mean() * norms.max() * (y / norms[:, None]).sum(0)
        torch.testing.assert_close(step(balancer, rows, losses), expected, rtol=1e-4, atol=1e-4)


def least_on_the_simplex(value, tasks):
    """By a general solver."""
    found = minimize(
        value,
        [1 / tasks] * tasks,
        bounds=[(0, 1)] * tasks,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-15},
    )
    return torch.from_numpy(found.x)


def test_moco_follows_its_estimates():
    balancer, y, w = build("moco", 3, gamma=0.5), None, torch.full((3,), 1 / 3, dtype=torch.float64)
    for k in range(1, 7):
        g, _ = rows_and_losses(k)
        share = torch.where(torch.arange(20) < OUTPUT, 1.0, 0.5 / math.sqrt(k)).double()
        y = g if y is None else y + share * (g - y)
        products = y @ y.T / (y @ y.T).diagonal().mean()
        moved = (w - 0.5 / math.sqrt(k) * products @ w).numpy()
        w = least_on_the_simplex(lambda w, to=moved: ((w - to) ** 2).sum(), 3)
        torch.testing.assert_close(step(balancer, g), 3 * w @ y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scale", "least", "most"), [("both", 0, math.inf), ("down", 0, 1), ("up", 1, math.inf)])
def test_metabalance_brings_each_parts_length_to_the_targets(scale, least, most):
    balancer = build("metabalance", 3, target="b", scale=scale)
    m = torch.zeros(3, 3, dtype=torch.float64)
    for k in range(6):
        rows, _ = rows_and_losses(k)
        rows[2] *= k > 0  # without samples at first: its average begins a step later
        expected = torch.zeros(20, dtype=torch.float64)
        for part, (start, end) in enumerate([(0, 8), (8, 14), (14, 20)]):
            for task in (1, 0, 2)[: 3 if k else 2]:  # the target's average first, as in the algorithm
                m[task, part] = 0.9 * m[task, part] + 0.1 * rows[task, start:end].norm()
                usual = m[:, part] / (1 - 0.9 ** torch.tensor([k + 1, k + 1, k], dtype=torch.float64))
                ratio = min(max(usual[1] / usual[task], least), most)
                expected[start:end] += (0.7 * ratio + 0.3) * rows[task, start:end]
        torch.testing.assert_close(step(balancer, rows), expected)


def test_revised_uncertainty_is_twice_the_papers():
    balancer = build("revised_uncertainty", 3)
    with torch.no_grad():
        balancer.log_variance.copy_(torch.tensor([0.5, -1.0, 2.0]))
    losses = torch.rand(3)
    variance = balancer.log_variance.exp()
    torch.testing.assert_close(balancer(losses), 2 * (losses / (2 * variance) + torch.log(1 + variance)).sum())


def opposed(tasks, noise):
    """Gradients along one line, all except the first against it, with some noise beside; None: without a common
    line."""
    rng = np.random.default_rng(tasks)
    rows = rng.normal(size=(tasks, 50))
    if noise is None:
        return torch.from_numpy(rows * np.logspace(-2, 2, tasks)[:, None])
    return torch.from_numpy(noise * rows + np.outer([1, *-rng.uniform(0.1, 10, tasks - 1)], rng.normal(size=50)))


BARGAINS = [(noise, tasks, alpha) for noise in (None, 0.1, 1e-3, 0) for tasks in (2, 3) for alpha in (0.5, 1.0, 5.0)]
BARGAINS += [(None, tasks, alpha) for tasks in (1, 6) for alpha in (0.5, 1.0, 2.0, 5.0)]


@pytest.mark.parametrize(("noise", "tasks", "alpha"), BARGAINS)
def test_the_bargain_is_found_in_few_steps_by_opposed_gradients_too(monkeypatch, noise, tasks, alpha):
    """G a = a^(-1 / alpha) for a multiple of the weights a, whose scale is as stated."""
    steps, solve = [], np.linalg.solve
    monkeypatch.setattr(np.linalg, "solve", lambda *systems: steps.append(1) or solve(*systems))
    rows = opposed(tasks, noise)
    found = build("fairgrad", tasks, alpha=alpha)(rows @ rows.T).numpy()
    assert len(steps) <= 20
    if alpha == 1:
        np.testing.assert_array_equal(build("nash_mtl", tasks)(rows @ rows.T), found)
    gradients = Gradients.of((rows @ rows.T).numpy())  # dependent ones are taken as just independent
    along = gradients.norms * (gradients.cosines @ (gradients.norms * found))
    terms = along * found ** (1 / alpha)  # equal, and 1 for the solution itself
    np.testing.assert_allclose(terms, terms.mean(), rtol=1e-4)
    assert found @ gradients.norms == pytest.approx(gradients.norms.sum())
