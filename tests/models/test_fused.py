"""Compiled passes beside plain torch, autograd's own check of every gradient, and what a step may
copy.

Passes of one task have the same gradients as passes through all experts, without the products of
those that have none.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from model_toys import batch_on, model_on

from bench.core.schema import Field, Schema, Task
from bench.models import compiling, fused, kernels, products
from bench.models.model_options import EmbeddingConfig
from bench.models.sharing import SHARING

SCHEMA = Schema(
    tuple(Field(f"f{i}", 50) for i in range(6)),
    ("age",),
    (Task("click"), Task("buy", parent="click")),
    scenario="f0",
)


def plain(monkeypatch):
    monkeypatch.setattr(fused, "fits", lambda *_: False)


def model_of(kind, precision="fp32", members=1):
    options = {"layers": "32-16"} if "layers" in SHARING[kind].config.model_fields else {}
    return model_on(
        SCHEMA, EmbeddingConfig(dim=8), (16, 8), members, precision, sharing=(kind, options)
    )


def random(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype).requires_grad_()


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize(
    ("depths", "gate"), [((1,), True), ((3,), False), ((2, 1), True), ((1, 3), False)]
)
def test_gradients_of_stacks(groups, depths, gate):
    x = random(groups, 3, 5)
    stacks = []
    for depth in depths:
        widths = [5, 4, 3, 2][: depth + 1]
        stacks.append([(random(4, b, a), random(4, b)) for a, b in pairwise(widths)])
    if gate:
        stacks.append([(random(4, 3, 5), None)])
    flat = [tensor for stack in stacks for pair in stack for tensor in pair if tensor is not None]
    assert torch.autograd.gradcheck(lambda x, *_: fused.stacks(x, stacks), (x, *flat))


@pytest.mark.parametrize("all_of_them", [0, 1])
@pytest.mark.parametrize(("gates", "own_experts", "shared"), [(2, 0, 3), (1, 2, 1), (3, 1, 2)])
def test_gradients_of_mixing(gates, own_experts, shared, all_of_them):
    batch, width = 70, 2  # more than one block of samples
    inputs = (
        random(gates, batch, own_experts + shared),
        random(all_of_them, batch, gates * own_experts + shared),
        random(gates * own_experts, batch, width),
        random(shared, batch, width),
    )
    assert torch.autograd.gradcheck(fused.mix, inputs, fast_mode=True)


@pytest.mark.parametrize("batch", [512, 1024, 1536, 1537])
def test_the_gradient_of_a_wide_layer_is_that_of_one_product(batch):
    """Taken in pieces of the batch where it has whole ones."""
    x, weight = random(1, batch, 8, dtype=torch.float32), random(5, 128, 8, dtype=torch.float32)
    (y,) = fused.stacks(x.bfloat16(), [[(weight, None)]])
    upstream = torch.randn_like(y)
    (gradient,) = torch.autograd.grad(y, weight, upstream)
    reference = upstream.double().transpose(1, 2) @ x.detach().bfloat16().double()
    assert (gradient - reference).norm() < 0.005 * reference.norm()


def test_gradients_of_the_head():
    assert torch.autograd.gradcheck(fused.head, (random(3, 4, 5), random(3, 1, 5), random(3, 1)))


@pytest.mark.parametrize(
    ("kind", "members", "compiled", "precision"),
    [*((kind, 1, *how) for kind in SHARING for how in ((True, "fp32"), (True, "bf16"), (False, "bf16"))),
     *((kind, 3, True, "fp32") for kind in ("single_task", "mmoe"))],
)  # fmt: skip
def test_a_model_is_what_it_is_in_plain_float32(kind, members, compiled, precision, monkeypatch):
    model = model_of(kind, precision, members)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def outcome(ids, dense):
        torch.manual_seed(0)  # of gates that are drawn
        e = model.embed(ids).detach().requires_grad_()
        logits = model.logits(e, ids, dense)
        return [logits, *torch.autograd.grad(logits.square().sum(), [e, *model.dense_parameters()])]

    batches = [batch_on(SCHEMA, 0), batch_on(SCHEMA, 130)]
    with monkeypatch.context() as context:
        if not compiled:
            plain(context)
        outcomes = [value for batch in batches for value in outcome(*batch)]
    plain(monkeypatch)
    model.precision = "fp32"
    plainly = [value for batch in batches for value in outcome(*batch)]
    assert precision == "fp32" or not torch.equal(outcomes[-1], plainly[-1])  # rounding is seen
    for a, b in zip(outcomes, plainly, strict=True):
        assert a.dtype == torch.float32  # parameters, logits and gradients are, in any precision
        if precision == "fp32":
            torch.testing.assert_close(
                a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item() if b.numel() else 0.0
            )
        else:  # rounding flips a ReLU here and there: alike on the whole, not in each element
            assert (a - b).norm() <= 0.2 * b.norm() + 1e-6


def test_bfloat16_is_rounded_as_torch_rounds():
    """On numbers of every exponent, ties between neighbours among them; zero bias and no negative
    input: a cast.
    """
    bits = np.arange(0, 0x7F80_0000, 0x2A01, dtype=np.uint32)
    ties = np.arange(0, 0x7F80, dtype=np.uint32) << 16 | 0x8000
    numbers = torch.from_numpy(
        np.concatenate([bits, ties, [0x7F80_0000]]).astype(np.uint32).view(np.float32)
    )
    z = torch.zeros(1, 1, len(numbers), dtype=torch.bfloat16)
    kernels.rectify_in_place(0, 1, compiling.array(z), numbers.view(1, -1).numpy())
    normal = numbers >= torch.finfo(torch.float32).tiny
    assert torch.equal(z.flatten()[normal], numbers.to(torch.bfloat16)[normal])


@pytest.mark.parametrize("kind", ["mmoe", "ple"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_passes_on_three_threads_are_those_on_one(kind, precision, monkeypatch):
    """Bit for bit: no sum is parted."""
    model, (ids, dense) = model_of(kind, precision), batch_on(SCHEMA, 200)  # four blocks of samples
    monkeypatch.setattr(products, "has_wider_vectors", lambda: False)

    def outcome():
        e = model.embed(ids).requires_grad_()
        logits = model.logits(e, ids, dense)
        return [
            e,
            logits,
            *torch.autograd.grad(logits.square().sum(), [e, *model.dense_parameters()]),
        ]

    # of the passes alone: products may differ in order
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    one = outcome()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(compiling, "WORTH_SHARING", 0)
    for a, b in zip(outcome(), one, strict=True):
        assert torch.equal(a, b)


def test_embeddings_as_precise_as_the_products_change_nothing():
    model, (ids, dense) = model_of("mmoe", "bf16"), batch_on(SCHEMA, 64)
    outcomes = []
    for exact in (True, False):
        with torch.no_grad():
            e = model.embed(ids, exact)
        assert e.dtype == (torch.float32 if exact or model.pooling.pools else torch.bfloat16)
        logits = model.logits(e.requires_grad_(), ids, dense)
        gradients = torch.autograd.grad(logits.square().sum(), [e, *model.dense_parameters()])
        outcomes.append([logits, *(gradient.float() for gradient in gradients)])
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))
