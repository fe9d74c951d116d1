import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from model_toys import funnel_on
from torch import Tensor

from bench.core.registry import NoOptions
from bench.core.schema import Schema, Task
from bench.models.funnels import FUNNELS
from bench.models.funnels.direct import Direct
from bench.models.funnels.entire_space import EntireSpace
from bench.models.funnels.escm2_dr import ESCM2DR
from bench.models.funnels.escm2_ipw import ESCM2IPW
from bench.models.funnels.independent import Independent
from bench.models.funnels.links import Links

NAN = math.nan
CHAIN = (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart"))
TREE = (Task("buy", parent="click"), Task("click"), Task("like", parent="click"), Task("other"))  # child before parent


def schema_of(tasks):
    return Schema((), (), tasks)


def labels_of(tasks, batch):
    """Consistent labels: a child happens only where its parent did."""
    schema = schema_of(tasks)
    columns: dict[int, Tensor] = {}
    for task in sorted(range(len(tasks)), key=lambda t: len(schema.chain(t))):
        values = torch.randn(batch) if tasks[task].kind == "regression" else (torch.rand(batch) < 0.6).float()
        parent = schema.parents[task]
        columns[task] = values if parent is None else values * columns[parent]
    return torch.stack([columns[task] for task in range(len(tasks))], dim=1).double()


@pytest.mark.parametrize("tasks", [CHAIN, TREE], ids=["chain", "tree"])
def test_entire_space_is_the_naive_product_formula(tasks):
    schema = schema_of(tasks)
    logits = (2 * torch.randn(200, len(tasks), dtype=torch.float64)).requires_grad_()
    labels = labels_of(tasks, 200)
    losses = EntireSpace(schema, NoOptions()).losses(logits, labels)
    naive = []
    for task in range(len(tasks)):
        chain = list(schema.chain(task))
        naive.append(F.binary_cross_entropy(logits[:, chain].sigmoid().prod(1), labels[:, chain].prod(1)))
    naive = torch.stack(naive)
    torch.testing.assert_close(losses, naive, rtol=1e-10, atol=1e-10)
    weights = torch.rand(len(tasks), dtype=torch.float64)
    (a,) = torch.autograd.grad(losses @ weights, logits)
    (b,) = torch.autograd.grad(naive @ weights, logits)
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_joint_logits_are_as_precise_in_single_as_in_double_where_the_product_is_not():
    links = Links(schema_of(CHAIN))
    logits = torch.tensor([[60.0, 70.0, 80.0], [-60.0, -70.0, -80.0], [90.0, -90.0, 0.0], [17.0, 18.0, 16.0]])
    exact = torch.tensor(
        [
            [60.0, 60.0 - math.log1p(math.exp(-10)), 60.0 - math.log(1 + math.exp(-10) + math.exp(-20))],
            [-60.0, -130.0, -210.0],
            [90.0, -90.0, -90.0 - math.log(2)],
            [17.0, 17.0 - math.log1p(math.exp(-1)), 17.0 - math.log(math.exp(0) + math.exp(-1) + math.exp(1))],
        ]
    )
    torch.testing.assert_close(links.joint_logits(logits), exact, rtol=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(links.joint_logits, torch.randn(5, 3, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("funnel", FUNNELS)
def test_loss_and_gradient_are_finite_at_extreme_logits(funnel):
    schema = schema_of(CHAIN)
    built = funnel_on(schema, funnel)
    values = list(itertools.product([-1e4, -100.0, 0.0, 100.0, 1e4], repeat=3))
    logits = torch.tensor([(*row, *row[1:])[: len(built.outputs)] for row in values], requires_grad=True)
    for labels in itertools.product([0.0, 1.0, NAN], repeat=3):
        losses = built.losses(logits, torch.tensor(labels).expand(len(logits), 3))
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        assert losses.isfinite().all()
        assert (losses >= 0).all()
        assert gradient.isfinite().all()
        if not isinstance(built, ESCM2IPW):
            assert (gradient.abs() <= 3 / len(logits) + 1e-6).all()  # one for each loss of the chain, no more
        elif not isinstance(built, ESCM2DR):
            assert (gradient.abs() <= (3 + built.config.clip) / len(logits) + 1e-6).all()


def test_independent_trains_each_task_on_its_own_space():
    logits = torch.randn(50, 3, dtype=torch.float64)
    labels = labels_of(CHAIN, 50)
    losses = Independent(schema_of(CHAIN), NoOptions()).losses(logits, labels)
    for task, space in enumerate([labels[:, 0] >= 0, labels[:, 0] == 1, labels[:, 1] == 1]):
        expected = F.binary_cross_entropy_with_logits(logits[space, task], labels[space, task])
        torch.testing.assert_close(losses[task], expected)


@pytest.mark.parametrize("funnel", FUNNELS)
def test_joint_is_the_product_of_conditionals_and_never_above_the_parents(funnel):
    schema = schema_of((*CHAIN, Task("watch", "regression", parent="click")))
    built = funnel_on(schema, funnel)
    logits = 10 * torch.randn(502, len(built.outputs))
    logits[500:] = torch.tensor([[1e4], [-1e4]])
    p = built.probabilities(logits)
    for task in range(3):
        if not isinstance(built, Direct):
            torch.testing.assert_close(p.conditional[:, task], logits[:, task].sigmoid())
        torch.testing.assert_close(p.joint[:, task], p.conditional[:, list(schema.chain(task))].prod(1))
    assert ((p.conditional[:, :3] >= 0) & (p.conditional[:, :3] <= 1)).all()
    assert (p.joint[:, 1] <= p.joint[:, 0]).all()
    assert (p.joint[:, 2] <= p.joint[:, 1]).all()
    assert torch.equal(p.conditional[:, 3], logits[:, 3])
    assert torch.equal(p.joint[:, 3], logits[:, 3])


@pytest.mark.parametrize("funnel", FUNNELS)
def test_it_starts_at_the_means_of_each_sample_space(funnel):
    schema = schema_of((*CHAIN, Task("watch", "regression", parent="click"), Task("like")))
    built = funnel_on(schema, funnel)
    start = built.start(torch.tensor([0.05, 0.2, 0.002, 3.5, NAN]))
    assert start.shape == (len(built.outputs),)
    p = built.probabilities(start.float().unsqueeze(0))
    torch.testing.assert_close(p.conditional, torch.tensor([[0.05, 0.2, 0.002, 3.5, 0.5]]))
    assert built.start(torch.tensor([0.0, 1.0, 0.0, 0.0, NAN])).isfinite().all()
