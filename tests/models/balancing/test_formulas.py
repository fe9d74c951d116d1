"""Balancers and what solves them against a closed form, a slow twin from the paper, or another
library.
"""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls
from torchjd.scalarization import DWA as Reference

from bench.core.errors import UserError
from bench.core.registry import choose
from bench.models.balancing import BALANCING
from bench.models.balancing.gramian import Gradients
from bench.models.balancing.least_distance import least_distance
from bench.testing.balancing import OUTPUT, build, step


@pytest.mark.parametrize("tasks", range(1, 7))
def test_gls_is_the_number_of_tasks_times_the_geometric_mean(tasks):
    losses = (torch.rand(tasks, dtype=torch.float64) + 0.01).requires_grad_()
    loss = build("gls", tasks)(losses)
    torch.testing.assert_close(loss, tasks * losses.prod() ** (1 / tasks))
    (gradient,) = torch.autograd.grad(loss, losses)
    torch.testing.assert_close(gradient, loss.detach() / tasks / losses.detach())


def test_weights_are_a_softmax_of_normals_times_the_number_of_tasks():
    balancer = build("rlw", 3)
    for seed in range(5):
        torch.manual_seed(seed)
        expected = 3 * torch.softmax(torch.randn(3), dim=0)
        torch.manual_seed(seed)
        losses = torch.ones(3, requires_grad=True)
        balancer(losses).backward()
        torch.testing.assert_close(losses.grad, expected)


def static(weight, tasks):
    options = choose(
        BALANCING, "balancing", {"kind": "static", "static": {"weight": weight}}, "static"
    ).options
    return BALANCING["static"].build(tasks, options)


def test_weights_are_normalised_and_default_to_one():
    balancer = static({"like": 4.0}, ["click", "like", "share"])
    torch.testing.assert_close(balancer.weight, torch.tensor([0.5, 2.0, 0.5]))
    torch.testing.assert_close(balancer(torch.tensor([1.0, 10.0, 100.0])), torch.tensor(70.5))


@pytest.mark.parametrize("bad", [0, -1.0, float("inf"), float("nan"), "much"])
def test_a_weight_that_is_no_positive_number_is_the_users_mistake(bad):
    with pytest.raises(UserError, match=r"balancing\.static\.weight\.like: "):
        static({"like": bad}, ["click", "like"])


def some_losses(steps, tasks):
    return torch.rand(steps, tasks, generator=torch.Generator().manual_seed(1)) + 0.1


def slow_weights(losses, number, virtual_epoch, temperature):
    """The paper's formula at step `number`, from all the losses before it."""
    tasks, epoch = len(losses[0]), number // virtual_epoch
    if epoch < 2:
        return [1.0] * tasks
    rates = []
    for task in range(tasks):
        mean = []
        for e in (epoch - 1, epoch - 2):
            seen = [
                row[task]
                for row in losses[e * virtual_epoch : (e + 1) * virtual_epoch]
                if row[task] != 0
            ]
            mean.append(sum(seen) / len(seen) if seen else None)
        rates.append(1.0 if None in mean else mean[0] / mean[1])
    exponentials = [math.exp(rate / temperature) for rate in rates]
    return [tasks * value / sum(exponentials) for value in exponentials]


@pytest.mark.parametrize("virtual_epoch", [1, 4, 100])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("absent", [0.0, 0.6])
def test_weights_follow_the_formula(virtual_epoch, temperature, absent):
    losses = some_losses(20, 3)
    losses[torch.rand(20, 3) < absent] = 0
    balancer = build("dwa", 3, temperature=temperature, virtual_epoch=virtual_epoch)
    for number in range(20):
        expected = torch.tensor(slow_weights(losses.tolist(), number, virtual_epoch, temperature))
        torch.testing.assert_close(balancer.weights(), expected)
        torch.testing.assert_close(balancer(losses[number]), (expected * losses[number]).sum())


def test_dwa_equals_torchjd_told_where_epochs_end():
    balancer, reference = build("dwa", 2, virtual_epoch=5), Reference()
    for number, losses in enumerate(some_losses(30, 2), start=1):
        torch.testing.assert_close(balancer(losses), reference(losses))
        if number % 5 == 0:
            reference.step()


def test_two_tasks_have_a_closed_form():
    for scale in (1e-3, 1.0, 1e4):
        for _ in range(50):
            g, h = torch.randn(2, 3, dtype=torch.float64) * torch.tensor([[1.0], [scale]])
            a = ((h - g) @ h / (h - g).square().sum()).clamp(0, 1)
            rows = torch.stack([g, h])
            weights = build("mgda", 2)(rows @ rows.T)
            torch.testing.assert_close(weights, 2 * torch.stack([a, 1 - a]), rtol=1e-6, atol=1e-6)


def test_optimality():
    """v is the shortest point of the hull exactly where g_i . v >= |v|^2 for all i."""
    for tasks in range(2, 7):
        for _ in range(20):
            jacobian = torch.randn(tasks, 20, dtype=torch.float64)
            v = step(build("mgda", tasks), jacobian) / tasks
            assert (jacobian @ v >= v @ v * (1 - 1e-5)).all()


def projected(jacobian):
    """The sum of projections on the dual cone, by Moreau: g minus its projection on the cone that
    -g_j span.
    """
    total = torch.zeros(jacobian.shape[1], dtype=torch.float64)
    for gradient in jacobian:
        coefficients, _ = nnls(-jacobian.T.numpy(), gradient.numpy())
        total += gradient + jacobian.T @ torch.from_numpy(coefficients)
    return total


@pytest.mark.parametrize("width", [2, 4, 20])
def test_upgrad_equals_projections_in_the_space_of_parameters(width):
    for tasks in range(1, 7):
        for scales in (torch.ones(tasks), torch.logspace(-2, 2, tasks)):
            jacobian = scales[:, None] * torch.randn(tasks, width, dtype=torch.float64)
            # dependent gradients are taken as just independent
            near = 1e-4 if tasks <= width else 2e-2
            atol = near * float(jacobian.norm(dim=1).max())
            torch.testing.assert_close(
                step(build("upgrad", tasks), jacobian), projected(jacobian), rtol=0, atol=atol
            )


def least_on_the_simplex(value, start):
    """By a general solver."""
    return minimize(
        value,
        start,
        method="SLSQP",
        bounds=[(0, 1)] * len(start),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    ).x


def brute_force(jacobian, c):
    """The paper's dual, min over the simplex of g_w . g_0 + c |g_0| |g_w|, from many starts."""
    tasks, mean = len(jacobian), jacobian.mean(0)

    def dual(w):
        return float(w @ jacobian @ mean + c * np.linalg.norm(mean) * np.linalg.norm(w @ jacobian))

    starts = [np.full(tasks, 1 / tasks), *(0.9 * np.eye(tasks) + 0.1 / tasks)]
    g = min((least_on_the_simplex(dual, start) for start in starts), key=dual) @ jacobian
    return mean + c * np.linalg.norm(mean) * g / np.linalg.norm(g)


@pytest.mark.parametrize("c", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("tasks", range(1, 6))
def test_cagrad_equals_brute_force_on_the_dual(tasks, c):
    for seed in range(4):
        jacobian = torch.randn(
            tasks, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        expected = torch.from_numpy(brute_force(jacobian.numpy(), c))
        # the paper's d: without our scale
        direction = step(build("cagrad", tasks, c=c), jacobian) * (1 + c) / tasks
        torch.testing.assert_close(direction, expected, rtol=0, atol=1e-3 * float(expected.norm()))


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
        direction = step(balancer, rows, losses)
        torch.testing.assert_close(direction, w @ rows, rtol=1e-5, atol=1e-5)
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


def test_moco_follows_its_estimates():
    balancer, y, w = build("moco", 3, gamma=0.5), None, torch.full((3,), 1 / 3, dtype=torch.float64)
    for k in range(1, 7):
        g, _ = rows_and_losses(k)
        share = torch.where(torch.arange(20) < OUTPUT, 1.0, 0.5 / math.sqrt(k)).double()
        y = g if y is None else y + share * (g - y)
        products = y @ y.T / (y @ y.T).diagonal().mean()
        moved = (w - 0.5 / math.sqrt(k) * products @ w).numpy()
        w = torch.from_numpy(
            least_on_the_simplex(lambda w, to=moved: ((w - to) ** 2).sum(), np.full(3, 1 / 3))
        )
        torch.testing.assert_close(step(balancer, g), 3 * w @ y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("scale", "lowest", "highest"), [("both", 0, math.inf), ("down", 0, 1), ("up", 1, math.inf)]
)
def test_metabalance_brings_each_parts_length_to_the_targets(scale, lowest, highest):
    balancer = build("metabalance", 3, target="b", scale=scale)
    m = torch.zeros(3, 3, dtype=torch.float64)
    for k in range(6):
        rows, _ = rows_and_losses(k)
        rows[2] *= k > 0  # without samples at first: its average begins a step later
        expected = torch.zeros(20, dtype=torch.float64)
        for part, (start, end) in enumerate([(0, 8), (8, 14), (14, 20)]):
            for task in (1, 0, 2)[
                : 3 if k else 2
            ]:  # the target's average first, as in the algorithm
                m[task, part] = 0.9 * m[task, part] + 0.1 * rows[task, start:end].norm()
                usual = m[:, part] / (
                    1 - 0.9 ** torch.tensor([k + 1, k + 1, k], dtype=torch.float64)
                )
                ratio = min(max(usual[1] / usual[task], lowest), highest)
                expected[start:end] += (0.7 * ratio + 0.3) * rows[task, start:end]
        torch.testing.assert_close(step(balancer, rows), expected)


def test_revised_uncertainty_is_twice_the_papers():
    balancer = build("revised_uncertainty", 3)
    with torch.no_grad():
        balancer.log_variance.copy_(torch.tensor([0.5, -1.0, 2.0]))
    losses = torch.rand(3)
    variance = balancer.log_variance.exp()
    torch.testing.assert_close(
        balancer(losses), 2 * (losses / (2 * variance) + torch.log(1 + variance)).sum()
    )


def opposed(tasks, noise):
    """Gradients along one line, all except the first against it, with some noise beside; None:
    without a common line."""
    rng = np.random.default_rng(tasks)
    rows = rng.normal(size=(tasks, 50))
    if noise is None:
        return torch.from_numpy(rows * np.logspace(-2, 2, tasks)[:, None])
    return torch.from_numpy(
        noise * rows + np.outer([1, *-rng.uniform(0.1, 10, tasks - 1)], rng.normal(size=50))
    )


BARGAINS = [
    (noise, tasks, alpha)
    for noise in (None, 0.1, 1e-3, 0)
    for tasks in (2, 3)
    for alpha in (0.5, 1.0, 5.0)
]
BARGAINS += [(None, tasks, alpha) for tasks in (1, 6) for alpha in (0.5, 1.0, 2.0, 5.0)]


@pytest.mark.parametrize(("noise", "tasks", "alpha"), BARGAINS)
def test_the_bargain_is_found_in_few_steps_by_opposed_gradients_too(
    monkeypatch, noise, tasks, alpha
):
    """G a = a^(-1 / alpha) for a multiple of the weights a, whose scale is as stated."""
    steps, solve = [], np.linalg.solve
    monkeypatch.setattr(np.linalg, "solve", lambda *systems: steps.append(1) or solve(*systems))
    rows = opposed(tasks, noise)
    weights = build("fairgrad", tasks, alpha=alpha)(rows @ rows.T).numpy()
    assert len(steps) <= 20
    if alpha == 1:
        np.testing.assert_array_equal(build("nash_mtl", tasks)(rows @ rows.T), weights)
    # dependent ones are taken as just independent
    gradients = Gradients.of((rows @ rows.T).numpy())
    products = gradients.norms * (gradients.cosines @ (gradients.norms * weights))
    terms = products * weights ** (1 / alpha)  # equal, and 1 for the solution itself
    np.testing.assert_allclose(terms, terms.mean(), rtol=1e-4)
    assert weights @ gradients.norms == pytest.approx(gradients.norms.sum())


@pytest.mark.parametrize("tasks", range(1, 7))
def test_gradients_have_the_gramian_that_they_came_from(tasks):
    jacobian = (
        np.random.default_rng(0).standard_normal((tasks, 9)) * np.logspace(-10, 10, tasks)[:, None]
    )
    gradients = Gradients.of(jacobian @ jacobian.T)
    norms = np.linalg.norm(jacobian, axis=1)
    np.testing.assert_allclose(gradients.norms, norms)
    unit = jacobian / norms[:, None]
    np.testing.assert_allclose(
        gradients.directions.T @ gradients.directions, unit @ unit.T, atol=1e-12
    )


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
