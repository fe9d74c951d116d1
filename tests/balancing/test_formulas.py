"""Weightings with a short definition, each against it: a closed form, a slow twin, or another library."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls
from torchjd.scalarization import DWA as Reference

from bench.balancing import BALANCING
from bench.balancing.cagrad import CAGrad, CAGradConfig
from bench.balancing.dwa import DWA, DWAConfig
from bench.balancing.gls import GLS
from bench.balancing.mgda import MGDA
from bench.balancing.rlw import RLW
from bench.balancing.upgrad import UPGrad
from bench.core.errors import UserError
from bench.core.registry import NoOptions, choose


@pytest.mark.parametrize("tasks", range(1, 7))
def test_gls_is_the_number_of_tasks_times_the_geometric_mean(tasks):
    losses = (torch.rand(tasks, dtype=torch.float64) + 0.01).requires_grad_()
    loss = GLS("abcdef"[:tasks], NoOptions())(losses)
    torch.testing.assert_close(loss, tasks * losses.prod() ** (1 / tasks))
    (gradient,) = torch.autograd.grad(loss, losses)
    torch.testing.assert_close(gradient, loss.detach() / tasks / losses.detach())


def test_weights_are_a_softmax_of_normals_times_the_number_of_tasks():
    balancer = RLW(["a", "b", "c"], NoOptions())
    for seed in range(5):
        torch.manual_seed(seed)
        expected = 3 * torch.softmax(torch.randn(3), dim=0)
        torch.manual_seed(seed)
        losses = torch.ones(3, requires_grad=True)
        balancer(losses).backward()
        torch.testing.assert_close(losses.grad, expected)


def build(weight, tasks):
    options = choose(BALANCING, "balancing", {"kind": "static", "static": {"weight": weight}}, "static").options
    return BALANCING["static"].build(tasks, options)


def test_weights_are_normalised_and_default_to_one():
    balancer = build({"like": 4.0}, ["click", "like", "share"])
    torch.testing.assert_close(balancer.weight, torch.tensor([0.5, 2.0, 0.5]))
    torch.testing.assert_close(balancer(torch.tensor([1.0, 10.0, 100.0])), torch.tensor(70.5))


@pytest.mark.parametrize("bad", [0, -1.0, float("inf"), float("nan"), "much"])
def test_a_weight_that_is_no_positive_number_is_the_users_mistake(bad):
    with pytest.raises(UserError, match=r"balancing\.static\.weight\.like: "):
        build({"like": bad}, ["click", "like"])


def some_losses(steps, tasks):
    return torch.rand(steps, tasks, generator=torch.Generator().manual_seed(1)) + 0.1


def slow_weights(losses, at, virtual_epoch, temperature):
    """The paper's formula at step `at`, from all the losses before it."""
    tasks, epoch = len(losses[0]), at // virtual_epoch
    if epoch < 2:
        return [1.0] * tasks
    rates = []
    for task in range(tasks):
        mean = []
        for e in (epoch - 1, epoch - 2):
            seen = [step[task] for step in losses[e * virtual_epoch : (e + 1) * virtual_epoch] if step[task] != 0]
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
    balancer = DWA(["a", "b", "c"], DWAConfig(temperature=temperature, virtual_epoch=virtual_epoch))
    for step in range(20):
        expected = torch.tensor(slow_weights(losses.tolist(), step, virtual_epoch, temperature))
        torch.testing.assert_close(balancer.weights(), expected)
        torch.testing.assert_close(balancer(losses[step]), (expected * losses[step]).sum())


def test_dwa_equals_torchjd_told_where_epochs_end():
    balancer, reference = DWA(["a", "b"], DWAConfig(virtual_epoch=5)), Reference()
    for step, losses in enumerate(some_losses(30, 2), start=1):
        torch.testing.assert_close(balancer(losses), reference(losses))
        if step % 5 == 0:
            reference.step()


def weigh(jacobian):
    return MGDA("abcdef"[: len(jacobian)], NoOptions())(jacobian @ jacobian.T)


def test_two_tasks_have_a_closed_form():
    for scale in (1e-3, 1.0, 1e4):
        for _ in range(50):
            g, h = torch.randn(2, 3, dtype=torch.float64) * torch.tensor([[1.0], [scale]])
            a = ((h - g) @ h / (h - g).square().sum()).clamp(0, 1)
            torch.testing.assert_close(weigh(torch.stack([g, h])), 2 * torch.stack([a, 1 - a]), rtol=1e-6, atol=1e-6)


def test_optimality():
    """v is the shortest point of the hull exactly where g_i . v >= |v|^2 for all i."""
    for tasks in range(2, 7):
        for _ in range(20):
            jacobian = torch.randn(tasks, 20, dtype=torch.float64)
            v = weigh(jacobian) @ jacobian / tasks
            assert (jacobian @ v >= v @ v * (1 - 1e-5)).all()


def step(jacobian):
    return UPGrad("abcdef"[: len(jacobian)], NoOptions())(jacobian @ jacobian.T) @ jacobian


def projected(jacobian):
    """The sum of projections on the dual cone, by Moreau: g minus its projection on the cone that -g_j span."""
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
            near = 1e-4 if tasks <= width else 2e-2  # dependent gradients are taken as just independent
            atol = near * float(jacobian.norm(dim=1).max())
            torch.testing.assert_close(step(jacobian), projected(jacobian), rtol=0, atol=atol)


def cagrad_step(jacobian, c):
    """The paper's d: without our scale."""
    tasks = len(jacobian)
    return CAGrad("abcdef"[:tasks], CAGradConfig(c=c))(jacobian @ jacobian.T) @ jacobian * (1 + c) / tasks


def brute_force(jacobian, c):
    """The paper's dual, min over the simplex of g_w . g_0 + c |g_0| |g_w|, from many starts."""
    tasks, mean = len(jacobian), jacobian.mean(0)

    def dual(w):
        return float(w @ jacobian @ mean + c * np.linalg.norm(mean) * np.linalg.norm(w @ jacobian))

    found = [
        minimize(
            dual,
            start,
            method="SLSQP",
            bounds=[(0, 1)] * tasks,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        for start in [np.full(tasks, 1 / tasks), *(0.9 * np.eye(tasks) + 0.1 / tasks)]
    ]
    g = min(found, key=lambda result: result.fun).x @ jacobian
    return mean + c * np.linalg.norm(mean) * g / np.linalg.norm(g)


@pytest.mark.parametrize("c", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("tasks", range(1, 6))
def test_cagrad_equals_brute_force_on_the_dual(tasks, c):
    for seed in range(4):
        jacobian = torch.randn(tasks, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        expected = torch.from_numpy(brute_force(jacobian.numpy(), c))
        torch.testing.assert_close(cagrad_step(jacobian, c), expected, rtol=0, atol=1e-3 * float(expected.norm()))
