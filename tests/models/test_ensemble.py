"""Members that share weights: each against a single model that scales its inputs, and all against
`tabm`.
"""

from contextlib import contextmanager
from itertools import cycle

import pytest
import torch
from model_toys import FIELDS, model_on
from torch import nn

from bench.core.schema import Scale, Schema, Task
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING
from bench.testing.models import batch_of

K = 3
SCALE = Scale(log=True, centre=1.0, spread=0.7, low=0.0, high=6.0, mean=4.0)
TASKS = (
    Task("click"),
    Task("buy", parent="click"),
    Task("watch", "regression", scale=SCALE),
    Task("rate", "regression"),
)
SCHEMA = Schema(FIELDS, ("age", "price"), TASKS, scenario="item")


def model_of(sharing, funnel, members, interaction="none"):
    for entry in (SHARING[sharing], FUNNELS[funnel], INTERACTIONS[interaction]):
        if reason := entry.unfit(SCHEMA):
            pytest.skip(reason)
    torch.manual_seed(1)
    return model_on(
        SCHEMA, members=members, sharing=sharing, funnel=funnel, interaction=interaction
    )


@contextmanager
def scaled(model, by):
    """The model with its sharing's inputs (I, B, inputs) multiplied by (I, inputs)."""
    hook = model.sharing.register_forward_pre_hook(
        lambda _, arguments: (arguments[0] * by.unsqueeze(1), *arguments[1:])
    )
    try:
        yield
    finally:
        hook.remove()


def weights_of(model):
    """(I, k, inputs), what members scale their inputs by."""
    return torch.cat([part.weight for part in model.member_inputs.parts])


def alone(model, member, plain):
    """The plain model with all that the members share, and one member's output."""
    state = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("member_inputs.")
    }
    for name in ("towers.output.weight", "towers.output.bias"):
        state[name] = state[name][:, member : member + 1]
    plain.load_state_dict(state)
    return plain


def predicted(model, logits):
    """Outputs (B, T) as probabilities and values."""
    of_tasks = logits[:, : len(TASKS)]
    return torch.cat([of_tasks[:, :2].sigmoid(), model.targets.values(of_tasks)[:, 2:]], 1)


@pytest.mark.parametrize(
    ("sharing", "funnel", "interaction"),
    list(zip(SHARING, cycle(FUNNELS), cycle(INTERACTIONS), strict=False)),
)
def test_a_member_is_a_model_that_scales_its_inputs(sharing, funnel, interaction):
    model, plain = (model_of(sharing, funnel, members, interaction) for members in (K, 1))
    model.eval(), plain.eval()
    ids, dense, labels = batch_of(SCHEMA, 7)
    logits = model.logits(model.embed(ids), ids, dense)
    logits_of_members, losses, predictions = [], [], []
    for member, scale in enumerate(weights_of(model).unbind(1)):
        one = alone(model, member, plain)
        with scaled(one, scale):
            logits_of_members.append(one.logits(one.embed(ids), ids, dense))
            losses.append(one.losses(logits_of_members[-1], labels))
            predictions.append(predicted(one, one(ids, dense)))
    torch.testing.assert_close(logits, torch.cat(logits_of_members), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        model.losses(logits, labels), torch.stack(losses).mean(0), rtol=1e-5, atol=1e-5
    )
    prediction = predicted(model, model(ids, dense))
    torch.testing.assert_close(prediction, torch.stack(predictions).mean(0), rtol=1e-4, atol=1e-5)


def test_it_equals_tabm_mini():
    tabm = pytest.importorskip(
        "tabm", reason="tabm, the reference implementation, is not installed"
    )
    torch.manual_seed(2)
    twin = tabm.TabM(
        n_num_features=5,
        d_out=2,
        k=K,
        n_blocks=2,
        d_block=16,
        dropout=0.0,
        activation="ReLU",
        arch_type="tabm-mini",
        start_scaling_init="normal",
    )
    schema = Schema((), tuple("abcde"), (Task("x"), Task("y")))
    model = model_on(schema, tower=(), members=K, sharing=("shared_bottom", {"layers": (16, 16)}))
    linear = [module for module in twin.backbone.modules() if isinstance(module, nn.Linear)]
    (scales,) = [
        p for name, p in twin.backbone.named_parameters() if name.endswith("affine.weight")
    ]
    with torch.no_grad():
        model.member_inputs.parts[0].weight.copy_(scales)
        for layer, theirs in zip(model.sharing.bottom.linears, linear, strict=True):
            layer.weight.copy_(theirs.weight)
            layer.bias.copy_(theirs.bias)
        model.towers.output.weight.copy_(twin.output.weight.permute(2, 0, 1))
        model.towers.output.bias.copy_(twin.output.bias.t())
    ids, dense = torch.zeros(9, 0, dtype=torch.int32), torch.randn(9, 5)
    actual = model.logits(model.embed(ids), ids, dense).view(K, 9, 2)
    torch.testing.assert_close(actual, twin(dense).transpose(0, 1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        model(ids, dense).sigmoid(), twin(dense).sigmoid().mean(1), rtol=1e-5, atol=1e-5
    )
    ours, theirs = (
        _gradient(function, dense)
        for function in (lambda x: model.logits(model.embed(ids), ids, x), twin)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def _gradient(function, x):
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x).sigmoid().sum(), x)
    return gradient
