"""ESCM2 against loops over samples, written from the paper, and the values it must have."""

import math

import pytest
import torch
from model_toys import funnel_on

from bench.core.schema import Schema, Task

CHAIN = Schema((), (), (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart")))
TREE = Schema((), (), (Task("buy", parent="click"), Task("click"), Task("like", parent="click"), Task("other")))
KINDS = [("escm2_ipw", {}), ("escm2_dr", {"imputes": "error"}), ("escm2_dr", {"imputes": "label"})]
EACH = pytest.mark.parametrize(("kind", "options"), KINDS, ids=["ipw", "dr error", "dr label"])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def log_loss(p, y):
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def drawn(schema, outputs, batch=40):
    """Logits, and labels of which some are unobserved; a child happens only where its parent did."""
    labels = (torch.rand(batch, len(schema.tasks), dtype=torch.float64) < 0.6).double()
    for task in range(len(schema.tasks)):
        labels[:, task] = labels[:, list(schema.chain(task))].prod(1)
    labels = torch.where(torch.rand(labels.shape) < 0.1, math.nan, labels)
    return torch.randn(batch, outputs, dtype=torch.float64), labels


def by_hand(kind, schema, options, logits, labels):
    """Sample by sample, the IPW or DR risk beside the joint probability's loss."""
    found, tied = [], [task for task in range(len(schema.tasks)) if schema.parents[task] is not None]
    for task in range(len(schema.tasks)):
        *above, _ = schema.chain(task)
        whole, risk, imputation, count = 0.0, 0.0, 0.0, 0
        for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
            stop = next((y[a] for a in above if y[a] != 1), 1.0)  # what is known of the ancestors
            if math.isnan(stop) or (stop == 1 and math.isnan(y[task])):
                continue
            count += 1
            p = math.prod(sigmoid(z[a]) for a in above)
            own = sigmoid(z[task])
            whole += log_loss(p * own, y[task] if stop == 1 else 0.0)
            if not above:
                continue
            weight = min(1 / p, options["clip"]) if stop == 1 else 0.0
            error = log_loss(own, y[task]) if stop == 1 else 0.0
            if kind == "escm2_ipw":
                risk += weight * error
            else:
                extra = z[len(schema.tasks) + tied.index(task)]
                by_error = options["imputes"] == "error"
                imputed = math.log(1 + math.exp(extra)) if by_error else log_loss(own, sigmoid(extra))
                risk += imputed + weight * (error - imputed)
                imputation += weight * (error - imputed) ** 2
        whole, risk, imputation = whole / count, max(risk / count, 0.0), imputation / count
        found.append(options["ctcvr_weight"] * whole + options["cvr_weight"] * (risk + imputation) if above else whole)
    return found


@EACH
@pytest.mark.parametrize("schema", [CHAIN, TREE], ids=["chain", "tree"])
def test_losses_are_the_papers(kind, options, schema):
    options = {"cvr_weight": 0.7, "ctcvr_weight": 1.3, "clip": 5.0} | options
    funnel = funnel_on(schema, kind, **options)
    logits, labels = drawn(schema, len(funnel.outputs))
    expected = torch.tensor(by_hand(kind, schema, options, logits, labels), dtype=torch.float64)
    torch.testing.assert_close(funnel.losses(logits, labels), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "options", "rate"),
    [("independent", {}, 0.3), *((kind, {"ctcvr_weight": 0.0} | options, 0.5) for kind, options in KINDS)],
)
def test_the_selection_bias_of_clicks_is_gone(kind, options, rate):
    """Of 100 impressions clicked at 1/2, a fifth would buy; of 100 clicked at 1/10, four fifths: one in two of all.

    Where the conversion's logit is one number for all, it is best at the rate that the funnel aims at: 0.3 among the
    60 clicks, 0.5 among the 200 impressions that are asked about.
    """
    schema = Schema((), (), (Task("click"), Task("buy", parent="click")))
    funnel = funnel_on(schema, kind, **options)
    click, buy = torch.zeros(2, 100), torch.zeros(2, 100)
    click[0, :50] = click[1, :10] = 1
    buy[0, :10] = buy[1, :8] = 1
    labels = torch.stack([click.flatten(), buy.flatten()], 1).double()
    p_click = torch.tensor([0.5, 0.1], dtype=torch.float64).repeat_interleave(100)
    slopes = []
    for p in (rate - 0.01, rate, rate + 0.01):
        logit = torch.logit(torch.tensor(p, dtype=torch.float64)).requires_grad_()
        more = [torch.full((200,), 2.0, dtype=torch.float64)] * (len(funnel.outputs) - 2)
        loss = funnel.losses(torch.stack([torch.logit(p_click), logit.expand(200), *more], 1), labels)[1]
        slopes.append(float(torch.autograd.grad(loss, logit)[0]))
    assert slopes[0] < -1e-4
    assert abs(slopes[1]) < 1e-9
    assert slopes[2] > 1e-4
