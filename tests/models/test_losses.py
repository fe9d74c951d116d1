"""Each loss against its formula, and the tests of `bench.testing` over the registries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from bench.data.tasks import scale_of
from bench.models.funnels import FUNNELS
from bench.models.losses import LOSSES, REGRESSION_LOSSES, Context, Loss, MeanLosses
from bench.models.losses.base import numbered
from bench.models.sharing import SHARING
from bench.schema import Schema, Task
from bench.testing import models as of
from bench.testing.training import MemoryStore, trainer

GROUPED = [kind for kind, entry in LOSSES.items() if getattr(entry.build, "needs_groups", False)]
POINTWISE = [kind for kind in LOSSES if kind not in GROUPED]


def made(kind: str, **options: object) -> Loss:
    entry = LOSSES[kind]
    return entry.build(entry.config.model_validate(options))


def each(loss: Loss, logits: torch.Tensor, labels: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
    return loss(logits, labels, torch.ones_like(labels, dtype=torch.bool), Context(**context))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_the_focal_loss_is_that_of_the_paper_in_its_score(gamma: float) -> None:
    """The score that stands for a logit is the one whose focal loss is least at that probability."""
    loss = made("focal", gamma=gamma)
    logits = torch.linspace(-6, 6, 13, dtype=torch.float64)
    labels = torch.ones_like(logits)

    def focal(score: float, label: float) -> float:
        own = 1 / (1 + np.exp(-score if label else score))
        return float(-((1 - own) ** gamma) * np.log(own))

    of_one, of_none = each(loss, logits, labels), each(loss, logits, 0 * labels)
    for at, p in enumerate(logits.sigmoid().tolist()):
        score = minimize_scalar(lambda u, p=p: p * focal(u, 1) + (1 - p) * focal(u, 0), (-1, 1), tol=1e-12).x
        assert float(of_one[at]) == pytest.approx(focal(score, 1), rel=1e-5)
        assert float(of_none[at]) == pytest.approx(focal(score, 0), rel=1e-5)


@pytest.mark.parametrize("kind", POINTWISE)
def test_a_loss_of_single_samples_is_least_at_the_true_probability(kind: str) -> None:
    loss = made(kind)
    for p in (0.003, 0.2, 0.5, 0.9):
        logit = torch.logit(torch.tensor([[p], [p]], dtype=torch.float64)).requires_grad_()
        both = each(loss, logit, torch.tensor([[1.0], [0.0]], dtype=torch.float64)).flatten()
        (slope,) = torch.autograd.grad(p * both[0] + (1 - p) * both[1], logit)
        assert float(slope.sum()) == pytest.approx(0, abs=1e-9)
        assert loss.of_constant(p) == pytest.approx((p * both[0] + (1 - p) * both[1]).item())


def test_focal_gradients_are_those_of_finite_differences_and_finite_at_any_logit() -> None:
    loss = made("focal")
    logits = torch.tensor([[-200.0, -30.0, -1.0, 0.0, 0.3, 40.0, 151.0, 300.0]], dtype=torch.float64)
    for labels in (torch.ones_like(logits), torch.zeros_like(logits)):
        assert torch.autograd.gradcheck(lambda at, to=labels: each(loss, at, to), logits.clone().requires_grad_())
        far = (logits.float() * 100).requires_grad_()
        given = each(loss, far, labels.float())
        (slope,) = torch.autograd.grad(given.sum(), far)
        assert given.isfinite().all()
        assert slope.isfinite().all()
    assert torch.equal(
        each(made("focal", gamma=0.0), logits, 0 * logits).round(decimals=9),
        F.softplus(logits).round(decimals=9),
    )


def test_weighted_logistic_is_least_at_the_mean_time() -> None:
    """Its gradient in the label's unit against a weighted logistic regression of scikit-learn."""
    rng = np.random.default_rng(0)
    x, times = rng.normal(size=(400, 1)), rng.gamma(0.5, 30, 400)
    scale = scale_of(times, log=True)
    schema = Schema((), (), (Task("watch", "regression", scale=scale),))
    entry = REGRESSION_LOSSES["weighted_logistic"]
    loss = entry.build(schema, entry.config()).double()
    both = np.r_[np.ones(400), np.zeros(400)]
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.r_[x, x], both, sample_weight=np.r_[1 + times, np.ones(400)]
    )
    logits = torch.from_numpy(fitted.decision_function(x))[:, None].requires_grad_()
    targets = torch.from_numpy((np.log1p(times) - scale.centre) / scale.spread)[:, None]
    given = loss((logits - scale.centre) / scale.spread, targets)
    (slope,) = torch.autograd.grad(given.sum(), logits)
    assert float(slope.sum()) == pytest.approx(0, abs=0.05)
    assert float((slope[:, 0] * torch.from_numpy(x[:, 0])).sum()) == pytest.approx(0, abs=0.05)
    assert (given >= 0).all()
    assert not loss(targets, targets).any()
    assert "log1p" in (entry.unfit(Schema((), (), (Task("watch", "regression"),))) or "")


def test_huber_is_half_the_square_and_then_a_line() -> None:
    entry = REGRESSION_LOSSES["huber"]
    schema = Schema((), (), (Task("watch", "regression"),))
    found = entry.build(schema, entry.config.model_validate({"delta": 0.5}))(
        torch.tensor([[0.0], [0.4], [-3.0]]), torch.zeros(3, 1)
    )
    torch.testing.assert_close(found.flatten(), torch.tensor([0.0, 0.08, 0.5 * (3 - 0.25)]))


@pytest.mark.parametrize("kind", LOSSES)
def test_a_task_is_charged_for_its_own_column_and_known_rows_alone(kind: str) -> None:
    torch.manual_seed(0)
    schema = Schema((), (), (Task("a"), Task("b"), Task("c", "regression")))
    loss = MeanLosses(schema, made(kind))
    logits, targets = torch.randn(40, 3, requires_grad=True), (torch.rand(40, 3) < 0.4).float()
    targets[::3, 0] = torch.nan
    context = Context(torch.arange(40) // 6, torch.randn(40, 3, requires_grad=True))
    found = loss(logits, targets, context=context)
    for at in range(3):
        (slope,) = torch.autograd.grad(found[at], logits, retain_graph=True)
        assert not slope[:, [other for other in range(3) if other != at]].any()
        assert not slope[targets[:, at].isnan()].any()
    kept = ~targets[:, 0].isnan()
    _, dense = context.group[kept].unique(return_inverse=True)
    alone = loss(logits[kept], targets[kept], context=Context(dense, context.scores[kept]))
    assert float(alone[0]) == pytest.approx(float(found[0]), rel=1e-5)
    assert loss(logits, torch.full_like(targets, torch.nan), context=context).tolist() == [0, 0, 0]


@pytest.mark.parametrize("axis", ["loss", "regression_loss"])
@pytest.mark.parametrize("funnel", FUNNELS)
def test_every_loss_goes_with_every_funnel(funnel: str, axis: str) -> None:
    """On sharings in turn: shapes, finite values, a gradient for every parameter, and no state."""
    registry = LOSSES if axis == "loss" else REGRESSION_LOSSES
    for kind, sharing in zip(registry, list(SHARING)[:: len(SHARING) // len(LOSSES)], strict=False):
        kinds, tasks = {"sharing": sharing, "funnel": funnel, axis: kind}, "mixed" if axis == "loss" else "six"
        for size in of.SIZES:
            of.any_batch_size_gives_logits_losses_and_probabilities(tasks, size, kinds)
        of.the_gradient_reaches_every_parameter(tasks, kinds)
        of.shared_parameters_are_declared_exactly(tasks, kinds)
        if axis == "loss":
            of.its_state_is_its_parameters(kinds)


@pytest.mark.parametrize("balancing", ["static", "famo", "upgrad", "pcgrad", "modo"])
@pytest.mark.parametrize("kind", LOSSES)
def test_trainings_of_every_loss_repeat_bit_for_bit_under_every_kind_of_balancer(kind: str, balancing: str) -> None:
    dotted = {"loss.kind": kind, "balancing.kind": balancing, "sharing.kind": "mmoe", "optim.epochs": 3}
    first, second, plain = (trainer(MemoryStore(), dotted | more) for more in ({}, {}, {"loss.kind": "log"}))
    for one in (first, second, plain):
        one.run_to()
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])
        assert tensor.isfinite().all()
    assert kind == "log" or any(
        not torch.equal(tensor, plain.model.state_dict()[name])
        for name, tensor in first.model.state_dict().items()
        if tensor.shape == plain.model.state_dict()[name].shape
    )


def in_groups(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Logits, labels and groups of 60 samples in any order; one group has no positive, one no negative, two one row."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat([0, 1, 2, 3, 4, 5], [20, 17, 12, 9, 1, 1]))
    labels = (rng.random(60) < 0.4).astype(float)
    labels[group == 2], labels[group == 3], labels[group == 4] = 0, 1, 1
    return torch.from_numpy(rng.normal(size=(60, 1))), torch.from_numpy(labels)[:, None], group


def ranked(kind: str, logits: torch.Tensor, labels: torch.Tensor, group: np.ndarray, **more: object) -> torch.Tensor:
    """The ranking term of each sample alone."""
    options, scores = dict(more), more.pop("scores", None)
    options.pop("scores", None)
    loss, context = made(kind, **options), Context(numbered(torch.from_numpy(group)), scores)
    weight = loss.weight
    log = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    found = loss(logits, labels, torch.ones_like(labels, dtype=torch.bool), context)
    return ((found - (1 - weight) * log) / weight).flatten()


def test_listwise_is_the_cross_entropy_of_each_groups_softmax() -> None:
    logits, labels, group = in_groups()
    found = ranked("listwise", logits, labels, group)
    for one in range(6):
        rows = torch.from_numpy(np.flatnonzero(group == one))
        expected = F.cross_entropy(logits[rows, 0][None], labels[rows, 0][None])  # labels as weights of the classes
        assert float(found[rows].sum()) == pytest.approx(float(expected))


def test_jrc_is_the_published_code() -> None:
    """The code in the paper: two logits, a mask of the batch's contexts, a softmax over the masked batch."""
    logits, labels, group = in_groups()
    negative = torch.randn(60, 1, dtype=torch.float64)
    both = torch.cat([negative, logits + negative], 1)
    mask = torch.from_numpy(group[:, None] == group[None]).double()
    y = torch.cat([1 - labels, labels], 1)
    tiled = both[:, None].expand(-1, 60, -1) + (1 - mask[:, :, None]) * -1e9
    masked = y[:, None].expand(-1, 60, -1) * mask[:, :, None]
    of_context = sum(-(masked[..., k] * F.log_softmax(tiled[..., k], 0)).sum(0) for k in range(2))
    published = 0.3 * F.cross_entropy(both, y) + 0.7 * (of_context / mask.sum(0)).mean()
    loss = made("jrc", weight=0.7)
    ours = loss(logits, labels, labels >= 0, Context(numbered(torch.from_numpy(group)), negative)).mean()
    assert float(ours) == pytest.approx(float(published))


@pytest.mark.parametrize("pairs", [1, 7, 60])
def test_bpr_compares_positives_with_negatives_of_their_group(pairs: int) -> None:
    """With as many pairs as the least common multiple of the groups' negatives it is the mean over all pairs."""
    logits, labels, group = in_groups()
    found = ranked("bpr", logits, labels, group, pairs=pairs)
    for row in range(60):
        others = [j for j in range(60) if group[j] == group[row] and labels[j, 0] == 0]
        if labels[row, 0] == 0 or not others:
            assert float(found[row]) == pytest.approx(0, abs=1e-12)
            continue
        each_pair = F.softplus(logits[others, 0] - logits[row, 0]).numpy()
        starts = range(len(others))
        cyclic = [np.take(each_pair, np.arange(at, at + pairs), mode="wrap").mean() for at in starts]
        assert np.abs(np.array(cyclic) - float(found[row])).min() < 1e-12


@pytest.mark.parametrize("kind", GROUPED)
def test_ranking_leaves_the_mean_prediction_to_the_log_loss(kind: str) -> None:
    """The gradient sums to that of the log loss: at an optimum with an intercept PCOC is 1."""
    logits, labels, group = in_groups()
    logits.requires_grad_()
    found = ranked(kind, logits, labels, group, scores=torch.randn(60, 1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(found.sum(), logits)
    assert float(slope.sum()) == pytest.approx(0, abs=1e-9)
    assert slope.abs().max() > 0.01


@pytest.mark.parametrize("kind", GROUPED)
def test_rows_without_group_and_members_are_not_compared(kind: str) -> None:
    logits, labels, _ = in_groups()
    scores = torch.randn(60, 1, dtype=torch.float64)
    alone = ranked(kind, logits, labels, np.full(60, -1), scores=scores)
    torch.testing.assert_close(alone, torch.zeros_like(alone), atol=1e-12, rtol=0)
    twice = numbered(torch.tensor([7, -1, 7, -1]), 2)
    assert twice.tolist() == [2, 0, 2, 1, 6, 4, 6, 5]


@pytest.mark.parametrize("kind", GROUPED)
def test_a_loss_that_ranks_needs_groups(kind: str) -> None:
    assert "no group" in (LOSSES[kind].unfit(Schema((), (), (Task("a"),))) or "")
    assert LOSSES[kind].unfit(Schema((), (), (Task("a"),), grouped=True)) is None
