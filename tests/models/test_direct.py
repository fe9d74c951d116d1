"""`direct` and `aitm`: joint logits, and what is transferred along a chain."""

import math

import pytest
import torch
import torch.nn.functional as F
from model_toys import funnel_on

from bench.core.schema import Schema, Task
from bench.models.funnels.aitm import AlongChains

CHAIN = Schema((), (), (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart")))
TREE = Schema(
    (),
    (),
    (
        Task("buy", parent="click"),
        Task("click"),
        Task("like", parent="click"),
        Task("again", parent="buy"),
        Task("other"),
        Task("watch", "regression", parent="click"),
    ),
)


def test_each_joint_label_is_a_task_of_its_own():
    logits = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    labels = (torch.rand(50, 3, dtype=torch.float64) < 0.7).double().cumprod(1)
    losses = funnel_on(CHAIN, "direct").losses(logits, labels)
    torch.testing.assert_close(losses, F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(0))
    for task in range(3):
        (gradient,) = torch.autograd.grad(losses[task], logits, retain_graph=True)
        assert gradient.any(dim=0).tolist() == [other == task for other in range(3)]


@pytest.mark.parametrize("kind", ["direct", "aitm"])
def test_what_is_predicted_is_no_more_likely_than_its_parent(kind):
    p = funnel_on(CHAIN, kind).probabilities(
        torch.logit(torch.tensor([[0.5, 0.2, 0.1], [0.5, 0.8, 0.6], [0.2, 0.1, 0.4]]))
    )
    torch.testing.assert_close(p.joint, torch.tensor([[0.5, 0.2, 0.1], [0.5, 0.5, 0.5], [0.2, 0.1, 0.1]]))
    torch.testing.assert_close(p.conditional, torch.tensor([[0.5, 0.4, 0.5], [0.5, 1.0, 1.0], [0.2, 0.5, 1.0]]))


def test_the_calibrator_is_the_mean_excess_over_the_parent():
    logits = torch.logit(torch.tensor([[0.5, 0.2, 0.6], [0.5, 0.8, 0.7], [0.3, 0.9, 0.9]], dtype=torch.float64))
    labels = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [math.nan, 1.0, 0.0]], dtype=torch.float64)
    plain, weighed = funnel_on(CHAIN, "direct").losses(logits, labels), funnel_on(CHAIN, "aitm", calibrator=2.0)
    extra = weighed.losses(logits, labels) - plain  # of the last sample nothing is known
    torch.testing.assert_close(extra, torch.tensor([0.0, 2 * 0.3 / 2, 2 * 0.4 / 2], dtype=torch.float64))


def test_the_transfer_is_the_papers_sample_by_sample():
    """z_t = w_p W3 p + w_q W3 q, w = softmax(<W1 u, W2 u> / sqrt k), u in {p, q}: Xi et al., KDD 2021."""
    width, parents = 5, TREE.parents
    along = AlongChains(TREE, width).double()
    links = [[(0, 0, 1), (1, 2, 1), (2, 5, 1)], [(0, 3, 0)]]  # of each round: slice, child, parent
    h = torch.randn(6, 7, width, dtype=torch.float64)
    found = along(h)
    for sample in range(7):
        z = {task: h[task, sample] for task in range(6) if parents[task] is None}
        for transfer, of_round in zip(along.transfers, links, strict=True):
            layer = transfer.information.layers[0]
            for at, child, parent in of_round:
                p = (layer.weight[at] @ z[parent] + layer.bias[at]).relu()
                both = [p, h[child, sample]]
                w1, w2, w3 = (m.weight[at] for m in (transfer.query, transfer.key, transfer.value))
                scores = torch.stack([(w1 @ u) @ (w2 @ u) / math.sqrt(width) for u in both]).softmax(0)
                z[child] = scores[0] * (w3 @ both[0]) + scores[1] * (w3 @ both[1])
        for task, expected in z.items():
            torch.testing.assert_close(found[task, sample], expected, rtol=1e-10, atol=1e-10)
