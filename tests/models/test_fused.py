"""Compiled passes beside plain torch, autograd's own check of every gradient, and what a step may copy.

Passes of one task have the same gradients as passes through all experts, without the products of those that have none.
"""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch
from model_toys import batch_on, model_on
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench.core.schema import Field, Schema, Task
from bench.models import compiling, fused, kernels, products
from bench.models.assembly import MultiTaskModel
from bench.models.config import EmbeddingConfig, Precision
from bench.models.fused import live, of_one_task
from bench.models.layers import BatchedLinear, BatchedMLP, mix, together
from bench.models.sharing import SHARING

SCHEMA = Schema(
    tuple(Field(f"f{i}", 50) for i in range(6)), ("age",), (Task("click"), Task("buy", parent="click")), scenario="f0"
)
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "fits", lambda *_: False)


def model_of(kind: str, precision: Precision = "fp32") -> MultiTaskModel:
    options = {"layers": "32-16"} if "layers" in SHARING[kind].config.model_fields else {}
    return model_on(SCHEMA, EmbeddingConfig(dim=8), (16, 8), precision=precision, sharing=(kind, options))


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype).requires_grad_()


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize(("depths", "gate"), [((1,), True), ((3,), False), ((2, 1), True), ((1, 3), False)])
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
@pytest.mark.parametrize(("gates", "own", "shared"), [(2, 0, 3), (1, 2, 1), (3, 1, 2)])
def test_gradients_of_mixing(gates, own, shared, all_of_them):
    batch, width = 70, 2  # more than one block of samples
    inputs = (
        random(gates, batch, own + shared),
        random(all_of_them, batch, gates * own + shared),
        random(gates * own, batch, width),
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


@pytest.mark.parametrize("kind", SHARING)
@pytest.mark.parametrize(("compiled", "precision"), [(True, "fp32"), (True, "bf16"), (False, "bf16")])
def test_a_model_is_what_it_is_in_plain_float32(kind, compiled, precision, monkeypatch):
    model = model_of(kind, precision)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def outcome(ids: Tensor, dense: Tensor) -> list[Tensor]:
        torch.manual_seed(0)  # of gates that are drawn
        e = model.embed(ids).detach().requires_grad_()
        logits = model.logits(e, ids, dense)
        return [logits, *torch.autograd.grad(logits.square().sum(), [e, *model.dense_parameters()])]

    batches = [batch_on(SCHEMA, 0), batch_on(SCHEMA, 130)]
    with monkeypatch.context() as context:
        if not compiled:
            plain(context)
        found = [each for batch in batches for each in outcome(*batch)]
    plain(monkeypatch)
    model.precision = "fp32"
    for a, b in zip(found, [each for batch in batches for each in outcome(*batch)], strict=True):
        assert a.dtype == torch.float32  # parameters, logits and gradients are, in any precision
        if precision == "fp32":
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item() if b.numel() else 0.0)
        else:  # rounding flips a ReLU here and there: alike on the whole, not in each element
            assert (a - b).norm() <= 0.2 * b.norm() + 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_gates_stay_exact_at_any_score(dtype, monkeypatch):
    scores = torch.tensor([[[0.0, 0, 0], [200, -200, 199], [-1e4, -1e4, 1e4], [-90, 3, 3], [88, 1, 0]]], dtype=dtype)
    experts = torch.eye(3, dtype=dtype).unsqueeze(1).expand(3, 5, 3).contiguous()
    compiled, _ = mix(scores, experts)
    reference = scores.double().softmax(2).to(dtype)
    torch.testing.assert_close(compiled, reference, atol=1e-30, rtol={torch.bfloat16: 0.004}.get(dtype, 1e-6))
    plain(monkeypatch)
    torch.testing.assert_close(mix(scores, experts)[0], reference)


def test_bfloat16_is_rounded_as_torch_rounds():
    """On numbers of every exponent, ties between neighbours among them; zero bias and no negative input: a cast."""
    bits = np.arange(0, 0x7F80_0000, 0x2A01, dtype=np.uint32)
    ties = np.arange(0, 0x7F80, dtype=np.uint32) << 16 | 0x8000
    numbers = torch.from_numpy(np.concatenate([bits, ties, [0x7F80_0000]]).astype(np.uint32).view(np.float32))
    z = torch.zeros(1, 1, len(numbers), dtype=torch.bfloat16)
    kernels.rectify_in_place(0, 1, compiling.array(z), numbers.view(1, -1).numpy())
    normal = numbers >= torch.finfo(torch.float32).tiny
    assert torch.equal(z.flatten()[normal], numbers.to(torch.bfloat16)[normal])


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_are_not_finite_go_through(dtype):
    mlp = BatchedMLP(2, 3, (4, 4))
    mlp = mlp.double() if dtype == torch.float64 else mlp
    x = torch.zeros(1, 3, 3, dtype=dtype)
    x[0, 0, 0], x[0, 1, 0] = torch.nan, torch.inf
    y = mlp(x)
    assert y[:, 0].isnan().all()
    assert not y[:, 1].isfinite().all()
    assert y[:, 2].isfinite().all()
    scores = torch.zeros(1, 3, 2, dtype=dtype)
    scores[0, 0, 1] = torch.nan
    mixed, _ = mix(scores, torch.ones(2, 3, 4, dtype=dtype))
    assert mixed[0, 0].isnan().all()
    assert mixed[0, 1:].isfinite().all()


def test_outputs_that_nobody_used_and_a_graph_used_twice():
    first, gates = BatchedMLP(2, 5, (4, 3)).double(), BatchedLinear(2, 5, 3, bias=False).double()
    x = random(1, 6, 5)
    wanted = [x, *first.parameters()]
    alone = torch.autograd.grad(first(x).sum(), wanted)
    hidden, scores = together(x, [first, gates])
    for _ in range(2):
        beside = torch.autograd.grad(hidden.sum(), [*wanted, gates.weight], retain_graph=True)
        for a, b in zip(alone, beside, strict=False):
            torch.testing.assert_close(a, b)
        assert not beside[-1].any()
    nothing = torch.autograd.grad(scores.sum(), [*first.parameters()], allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in nothing)


@pytest.mark.parametrize("which", ["stacks", "mix", "head"])
def test_no_output_holds_itself(which):
    """A cycle through an output's own graph would keep each step's activations until the collector runs."""
    w, b = random(2, 4, 4), random(2, 4)
    gc.collect()
    gc.disable()
    try:
        if which == "stacks":
            outputs = fused.stacks(random(2, 3, 4), [[(w, b), (w, b)], [(w, b)]])
        elif which == "mix":
            outputs = fused.mix(random(1, 3, 4), random(1, 3, 4), random(2, 3, 4), random(2, 3, 4))
        else:
            outputs = (fused.head(random(2, 3, 4), random(2, 1, 4), random(2, 1)),)
        torch.cat([output.flatten() for output in outputs]).sum().backward()
        alive = [weakref.ref(output) for output in outputs]
        del outputs
        assert all(reference() is None for reference in alive)
    finally:
        gc.enable()


def operations(model: MultiTaskModel, size: int) -> tuple[int, int]:
    """Of a step's forward and backward pass: batched products, and the largest tensor copied, in elements."""
    ids, dense = batch_on(SCHEMA, size)
    e = model.embed(ids).detach().requires_grad_()
    model.logits(e, ids, dense).sum().backward()
    for parameter in model.parameters():
        parameter.grad = None
    e.grad = None
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as record:
        model.logits(e, ids, dense).sum().backward()
    events = record.events()
    assert events is not None
    shapes = [event.input_shapes[0] for event in events if event.name in ("aten::copy_", "aten::clone")]
    return sum(event.name == "aten::bmm" for event in events), max((int(np.prod(shape)) for shape in shapes), default=0)


LAYERS = {
    "single_task": 2 + 2,
    "shared_embeddings": 2,
    "shared_bottom": 2 + 2,
    "omoe": 2 + 2,
    "mmoe": 2 + 2,
    "cgc": 3 + 2,
    "ple": 3 + 4 + 2,
}
"""Products of a forward pass with two layers everywhere, of the kinds that are compiled whole. CGC, and PLE's first
level: a first layer that all share and two second ones; then a first and a second one of own and of shared experts."""


@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_takes_three_products_a_layer_and_copies_no_activations(kind, monkeypatch):
    """The guard against a gross slowdown: other copies are of weights, or of the input, which dense columns join."""
    monkeypatch.setattr(products, "has_wider_vectors", lambda: False)  # its products are counted by another name
    model = model_of(kind)
    size = 4096
    taken, largest = operations(model, size)
    assert taken == 3 * LAYERS[kind]
    inputs = SCHEMA.slots * 8 + 1
    assert largest <= size * inputs * model.input_sets


@pytest.mark.parametrize("kind", ["mmoe", "ple"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_passes_on_three_threads_are_those_on_one(kind, precision, monkeypatch):
    """Bit for bit: no sum is parted."""
    model, (ids, dense) = model_of(kind, precision), batch_on(SCHEMA, 200)  # four blocks of samples
    monkeypatch.setattr(products, "has_wider_vectors", lambda: False)

    def outcome() -> list[Tensor]:
        e = model.embed(ids).requires_grad_()
        logits = model.logits(e, ids, dense)
        return [e, logits, *torch.autograd.grad(logits.square().sum(), [e, *model.dense_parameters()])]

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # of the passes alone: products may differ in order
    one = outcome()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(compiling, "WORTH_SHARING", 0)
    for a, b in zip(outcome(), one, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("groups", "dtype"), [(1, torch.float64), (4, torch.float64), (2, torch.bfloat16)])
@pytest.mark.parametrize("kept", [(), (0,), (3,), (1, 2), (0, 3)])
def test_experts_without_gradient_take_no_part(groups, kept, dtype, monkeypatch):
    """Nothing of what they would add is lost: the products of all experts give the same gradients."""
    x = random(groups, 1024, 5, dtype=torch.float64).detach().to(dtype).requires_grad_()
    computed = compiling.computed_in(dtype)
    stacks = [[(random(4, b, a, dtype=computed), random(4, b, dtype=computed)) for a, b in pairwise([5, 160, 3])]]
    stacks.append([(random(4, 7, 5, dtype=computed), None)])
    flat = [tensor for stack in stacks for pair in stack for tensor in pair if tensor is not None]
    above = [torch.zeros_like(out) for out in fused.stacks(x, stacks)]
    for expert in kept:
        for gradient in above:
            gradient[expert, 5:] = torch.randn_like(gradient[expert, 5:])
    widths, through = [], fused.backward_together

    def counted(layer, gradients, needs_dx):
        widths[-1] += layer.weights.numel()
        return through(layer, gradients, needs_dx)

    monkeypatch.setattr(fused, "backward_together", counted)
    widths.append(0)
    expected = torch.autograd.grad(fused.stacks(x, stacks), [x, *flat], above)
    widths.append(0)
    with of_one_task():
        found = torch.autograd.grad(fused.stacks(x, stacks), [x, *flat], above)
    assert widths[0] == sum(weight.numel() for weight in flat if weight.dim() == 3)  # elsewhere nothing is looked for
    assert (widths[1] < widths[0]) == (kept in {(0,), (3,), (1, 2)} or (not kept and groups == 1))
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= {torch.float64: 1e-12, torch.bfloat16: 0.01}[dtype] * b.norm()


def test_a_gradient_that_is_not_a_number_is_live():
    gradient = torch.zeros(5, 3, 4)
    gradient[1, 2, 3], gradient[3, 0, 0], gradient[4] = float("nan"), 1e-45, -0.0
    with of_one_task():
        assert live(gradient).tolist() == [False, True, False, True, False]
        assert live(gradient[:2], gradient.bfloat16()).tolist()[:4] == [False, True, False, True]
    assert live(gradient[:2], gradient).all()


@pytest.mark.parametrize(("gates", "own", "shared"), [(2, 0, 3), (3, 2, 1)])
@pytest.mark.parametrize("task", [0, 1])
def test_gates_without_gradient_take_no_part_in_mixing(gates, own, shared, task):
    inputs = [random(gates, 70, own + shared), random(1, 70, gates * own + shared)]
    inputs += [random(gates * own, 70, 2), random(shared, 70, 2)]
    above = [torch.zeros(gates, 70, 2, dtype=torch.float64), torch.zeros(1, 70, 2, dtype=torch.float64)]
    above[0][task] = torch.randn(70, 2)
    with of_one_task():
        found = torch.autograd.grad(fused.mix(*inputs), inputs, above)
    scores, all_scores, of_own, of_shared = inputs
    expected = torch.autograd.grad(mix(scores, of_shared, of_own, all_scores), inputs, above)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
