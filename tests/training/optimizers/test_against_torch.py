"""Where every row is touched in every step, Adam is torch's; and so is the optimizer of dense parameters."""

import pytest
import torch
from torch import nn

from bench.core.schema import Field, Schema
from bench.training.dense import DenseAdamW
from bench.training.optimizers.adam import RowAdam

SCHEMA = Schema((Field("id", 20), Field("tag", 7)), (), ())


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_ten_steps_on_every_row_are_adamw(compiled, l2):
    generator = torch.Generator().manual_seed(1)
    ours = torch.randn(SCHEMA.rows, 4, generator=generator)
    theirs = ours.clone().requires_grad_()
    optimizer = RowAdam(ours, SCHEMA, lr=0.01, l2=l2, compiled=compiled)
    dense = torch.optim.AdamW([theirs], lr=0.01, weight_decay=l2)
    order = torch.randperm(20, generator=generator)
    ids = torch.stack([1 + order, 21 + order % 7], dim=1).int()
    for _ in range(10):
        gradient = torch.randn(20, 2, 4, generator=generator)
        optimizer.step(ids, gradient)
        theirs.grad = torch.zeros_like(theirs).index_put_((ids.long(),), gradient, accumulate=True)
        dense.step()
    torch.testing.assert_close(ours[1:], theirs.detach()[1:], atol=1e-6, rtol=1e-5)


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
        twin.param_groups[0]["lr"] = twin.param_groups[1]["lr"] = 0.1 / (step + 1)
        made.rate.fill_(0.1 / (step + 1))
        made.zero_grad()
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert one.grad is None
            skipped = at == 1 and step % 2  # a parameter without gradient keeps its value and its step counter
            if not skipped:
                other.grad = torch.randn_like(one)
                one.grad = other.grad.mT.contiguous().mT if one.dim() > 1 else other.grad  # in another order in memory
            else:
                other.grad = None
        made.step()
        twin.step()
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)
