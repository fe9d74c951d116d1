"""Where every row is touched in every step, the rules are those of torch's dense optimizers."""

import pytest
import torch
from torch import nn

from bench.core.schema import Field, Schema
from bench.training.dense import DenseAdamW
from bench.training.optimizers import ROW_OPTIMIZERS

SCHEMA = Schema((Field("id", 20), Field("tag", 7)), (), ())
PATHS = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])


def train(name, reference, width, compiled, l2=0.0, equal=False, **options):
    """Ten steps by ours and by a dense optimizer of torch, which shrinks the weight first where l2 is given."""
    generator = torch.Generator().manual_seed(1)
    ours = torch.randn(SCHEMA.rows, width, generator=generator)
    theirs = ours.clone().requires_grad_()
    optimizer = ROW_OPTIMIZERS[name].build(ours, SCHEMA, lr=0.01, l2=l2, compiled=compiled)
    dense = reference([theirs], lr=0.01, **options)
    order = torch.randperm(20, generator=generator)
    ids = torch.stack([1 + order, 21 + order % 7], dim=1).int()
    for _ in range(10):
        gradient = torch.randn(20, 2, width, generator=generator)
        if equal:  # of one size in a row, so that its mean square is each element's square
            gradient = gradient.sign() * 0.25 * torch.ones_like(gradient[..., :1])
            gradient[:, 1] = gradient[:, 1] * (order < 7).unsqueeze(1)
        optimizer.step(ids, gradient)
        theirs.grad = torch.zeros_like(theirs).index_put_((ids.long(),), gradient, accumulate=True)
        with torch.no_grad():
            if l2 and reference is not torch.optim.AdamW:
                theirs[1:] *= 1 - 0.01 * l2
        dense.step()
    return ours[1:], theirs.detach()[1:]


@PATHS
def test_adam(compiled):
    torch.testing.assert_close(*train("adam", torch.optim.Adam, 4, compiled), atol=1e-6, rtol=1e-5)


@PATHS
def test_adam_with_decay_is_adamw(compiled):
    pair = train("adam", torch.optim.AdamW, 4, compiled, l2=0.5, weight_decay=0.5)
    torch.testing.assert_close(*pair, atol=1e-6, rtol=1e-5)


@PATHS
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_sgd(compiled, l2):
    torch.testing.assert_close(*train("sgd", torch.optim.SGD, 4, compiled, l2), atol=1e-6, rtol=1e-5)


@PATHS
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_adagrad_of_width_one(compiled, l2):
    torch.testing.assert_close(*train("adagrad", torch.optim.Adagrad, 1, compiled, l2), atol=1e-6, rtol=1e-5)


@PATHS
def test_adagrad_of_equal_squares_in_a_row(compiled):
    pair = train("adagrad", torch.optim.Adagrad, 4, compiled, equal=True)
    torch.testing.assert_close(*pair, atol=1e-6, rtol=1e-5)


def parameters(seed):
    torch.manual_seed(seed)
    return [nn.Parameter(torch.randn(shape)) for shape in ((3, 4, 5), (7,), (2, 1))]


def test_dense_is_torchs_fused_adamw_bit_for_bit():
    ours, theirs = parameters(0), parameters(0)
    made = DenseAdamW(ours[:2], ours[2:], lr=0.1, weight_decay=0.3)
    twin = torch.optim.AdamW(
        [{"params": theirs[:2], "weight_decay": 0.3}, {"params": theirs[2:], "weight_decay": 0.0}], lr=0.1, fused=True
    )
    for step in range(6):
        made.lr = twin.param_groups[0]["lr"] = twin.param_groups[1]["lr"] = 0.1 / (step + 1)
        made.zero_grad()
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert one.grad is None
            skipped = at == 1 and step % 2  # a parameter without gradient keeps its value and its step counter
            one.grad = other.grad = None if skipped else torch.randn_like(one)
        made.step()
        twin.step()
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)
