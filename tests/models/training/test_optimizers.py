"""Adam on touched rows: its paper's formula, sums by row, the contract of optimizers, and torch's
own.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.core.schema import Field, Schema
from bench.core.system import intrinsics
from bench.models.training.dense_adam import DenseAdamW
from bench.models.training.row_adam import RowAdam, sum_by_row, table_groups

SCHEMA = Schema(
    (
        Field("user", 9),
        Field("tags", 5, slots=3),
        Field("item", 30),
        Field("past", 30, 2, of="item"),
    ),
    (),
    (),
)
WIDTH = 5


def table():
    """The same weight each time: (R, WIDTH), its padding zero."""
    weight = torch.tensor(
        np.random.default_rng(0).normal(size=(SCHEMA.rows, WIDTH)), dtype=torch.float32
    )
    weight[0] = 0
    return weight


def batch(seed, size=40):
    """Ids with many repeats and some padding, and gradients, multiples of 1/8 that add up without
    rounding.
    """
    rng = np.random.default_rng(seed)
    columns = []
    for field, offset in zip(SCHEMA.fields, SCHEMA.offsets, strict=True):
        for slot in range(field.slots):
            ids = offset + rng.integers(0, field.cardinality, size)
            columns.append(np.where(rng.random(size) < 0.4, 0, ids) if slot else ids)
    gradient = rng.integers(-16, 17, (size, SCHEMA.slots, WIDTH)) / 8
    return torch.tensor(np.stack(columns, axis=1), dtype=torch.int32), torch.tensor(
        gradient, dtype=torch.float32
    )


def adam(w, state, g, lr):
    """Kingma & Ba, ICLR 2015, algorithm 1."""
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    v = state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
    return w - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


PATHS = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
SEEDS = st.integers(0, 10_000)
few = settings(max_examples=10, deadline=None)


def slow_twin(weight, batches, rates, l2):
    """The rule in double precision, one row at a time, looking at every row of the table in every
    step.
    """
    w = weight.double().numpy().copy()
    states: list[dict] = [{} for _ in w]
    for (ids, gradient), lr in zip(batches, rates, strict=True):
        ids, gradient = ids.numpy(), gradient.double().numpy()
        for row in range(1, len(w)):
            if (ids == row).any():
                total = gradient[ids == row].sum(axis=0)
                w[row] = adam((1 - lr * l2) * w[row], states[row], total, lr)
    return w


def build(weight, **options):
    return RowAdam(weight, SCHEMA, **{"lr": 0.05} | options)


@PATHS
@few
@given(
    seed=SEEDS,
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    l2=st.sampled_from([0.0, 0.5]),
)
def test_equals_the_slow_twin(compiled, seed, sizes, l2):
    batches = [batch(seed + number, size) for number, size in enumerate(sizes)]
    rates = [0.05 / (number + 1) for number in range(len(sizes))]
    weight = table()
    expected = slow_twin(weight, batches, rates, l2)
    optimizer = build(weight, l2=l2, compiled=compiled)
    for (ids, gradient), rate in zip(batches, rates, strict=True):
        optimizer.rate.fill_(rate)
        optimizer.step(ids, gradient)
    np.testing.assert_allclose(weight.numpy(), expected, atol=3e-6, rtol=3e-6)


@PATHS
@few
@given(seed=SEEDS, size=st.integers(0, 4))
def test_untouched_rows_and_padding_keep_every_bit(compiled, seed, size):
    weight = table()
    before = weight.clone()
    optimizer = build(weight, l2=1.0, compiled=compiled)
    untrained = {key: tensor.clone() for key, tensor in optimizer.state_dict().items()}
    ids, gradient = batch(seed, size)
    optimizer.step(ids, gradient + 0.25)  # so that no row's gradient is likely to be zero
    untouched = np.setdiff1d(np.arange(SCHEMA.rows), ids.numpy())
    assert torch.equal(weight[untouched], before[untouched])
    assert torch.equal(weight[0], torch.zeros(weight.shape[1]))
    for key, tensor in optimizer.state_dict().items():
        assert torch.equal(tensor[untouched], untrained[key][untouched])
        assert not tensor[0].any()
    touched = [row for row in np.unique(ids.numpy()) if row]
    assert (weight[touched] != before[touched]).any(dim=1).all()


@few
@given(seed=SEEDS, threads=st.integers(2, 9))
def test_thread_count_changes_no_bit(seed, threads):
    single, threaded = table(), table()
    for weight, number in ((single, 1), (threaded, threads)):
        optimizer = build(weight, threads=number)
        for step in range(3):
            ids, gradient = batch(seed + step)
            # 0.3 is not exact: the order of additions would show
            optimizer.step(ids, gradient * 0.3)
    assert torch.equal(single, threaded)


@PATHS
def test_a_huge_gradient_stays_finite(compiled):
    weight = table()
    ids, gradient = batch(0)
    build(weight, compiled=compiled).step(ids, gradient * 1e15)
    assert weight.isfinite().all()


def test_bias_corrections_hold_however_many_steps_a_row_has_had():
    """Including beyond the tables' ends, where 1 - beta^t is 1."""
    schema = Schema((Field("id", 30),), (), ())
    for steps in (0, 1, 2, 350, 356, 357, 358, 5_000, 37_410, 37_412, 37_413, 1_000_000):
        for compiled in (True, False):
            weight = torch.zeros(schema.rows, 4)
            optimizer = RowAdam(weight, schema, lr=0.1, compiled=compiled)
            optimizer.state_dict()["steps"].fill_(steps)
            optimizer.step(torch.tensor([[7]], dtype=torch.int32), torch.full((1, 1, 4), 2.0))
            t = steps + 1
            m, v = 0.1 * 2.0 / (1 - 0.9**t), 0.001 * 4.0 / (1 - 0.999**t)
            np.testing.assert_allclose(weight[7].numpy(), -0.1 * m / np.sqrt(v), rtol=1e-6)


def test_kernels_work_where_no_cache_can_be_written(monkeypatch):
    plain = intrinsics.numba.njit

    def refuses(*args, cache=False, **options):
        if cache:
            raise RuntimeError(
                "cannot cache function 'double': no locator available for file 'x.py'"
            )
        return plain(*args, **options)

    monkeypatch.setattr(intrinsics.numba, "njit", refuses)

    @intrinsics.jit("contract")
    def double(x):
        return x + x

    assert double(21) == 42


FIELDS = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 4)), min_size=1, max_size=5)


def draw(fields, size, seed):
    """A schema, ids (B, S) with padding in any column, and gradients (B, S, 3) that add up without
    rounding.
    """
    rng = np.random.default_rng(seed)
    schema = Schema(
        tuple(Field(f"f{i}", cardinality, slots) for i, (cardinality, slots) in enumerate(fields)),
        (),
        (),
    )
    columns = []
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        for _ in range(field.slots):
            ids = offset + (rng.random(size) ** 3 * field.cardinality).astype(np.int64)
            columns.append(np.where(rng.random(size) < 0.1, 0, ids))
    ids = np.stack(columns, axis=1).astype(np.int32)
    return schema, ids, rng.integers(-16, 17, (*ids.shape, 3)).astype(np.float32)


def expected(ids, gradient):
    rows, inverse = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), 3))
    np.add.at(sums, inverse.ravel(), gradient.reshape(-1, 3))
    return {row: tuple(total) for row, total in zip(rows.tolist(), sums, strict=True) if row}


@settings(max_examples=40, deadline=None)
@given(
    fields=FIELDS, size=st.integers(0, 300), seed=st.integers(0, 10_000), threads=st.integers(1, 4)
)
def test_compiled(fields, size, seed, threads):
    schema, ids, gradient = draw(fields, size, seed)
    totals: dict[int, tuple[float, ...]] = {}
    for part in table_groups(schema, threads):
        rows, sums, count = part.sums(ids.view(np.uint32), gradient)
        mine = {
            int(row): tuple(total)
            for row, total in zip(rows[1 : count + 1], sums[1 : count + 1], strict=True)
        }
        assert len(mine) == count
        assert not totals.keys() & mine.keys()
        totals |= mine
    assert totals == expected(ids, gradient)


@settings(max_examples=40, deadline=None)
@given(fields=FIELDS, size=st.integers(0, 300), seed=st.integers(0, 10_000))
def test_torch(fields, size, seed):
    _, ids, gradient = draw(fields, size, seed)
    rows, sums, live = sum_by_row(torch.from_numpy(ids), torch.from_numpy(gradient))
    assert rows.shape == (ids.size,)
    assert torch.equal(live.squeeze(1), rows != 0)
    living = rows[rows != 0].tolist()
    assert len(set(living)) == len(living)
    assert dict(zip(living, map(tuple, sums[rows != 0].tolist()), strict=True)) == expected(
        ids, gradient
    )


TAGGED = Schema((Field("id", 20), Field("tag", 7)), (), ())


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_ten_steps_on_every_row_are_adamw(compiled, l2):
    generator = torch.Generator().manual_seed(1)
    ours = torch.randn(TAGGED.rows, 4, generator=generator)
    theirs = ours.clone().requires_grad_()
    optimizer = RowAdam(ours, TAGGED, lr=0.01, l2=l2, compiled=compiled)
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
    optimizer = DenseAdamW(ours[:2], ours[2:], lr=0.1, weight_decay=0.3)
    twin = torch.optim.AdamW(
        [{"params": theirs[:2], "weight_decay": 0.3}, {"params": theirs[2:], "weight_decay": 0.0}],
        lr=0.1,
        fused=True,
    )
    for step in range(6):
        twin.param_groups[0]["lr"] = twin.param_groups[1]["lr"] = 0.1 / (step + 1)
        optimizer.rate.fill_(0.1 / (step + 1))
        optimizer.zero_grad()
        for number, (parameter, reference) in enumerate(zip(ours, theirs, strict=True)):
            assert parameter.grad is None
            # a parameter without gradient keeps its value and its step counter
            skipped = number == 1 and step % 2
            if not skipped:
                reference.grad = torch.randn_like(parameter)
                # in another order in memory
                parameter.grad = (
                    reference.grad.mT.contiguous().mT if parameter.dim() > 1 else reference.grad
                )
            else:
                reference.grad = None
        optimizer.step()
        twin.step()
        for parameter, reference in zip(ours, theirs, strict=True):
            assert torch.equal(parameter, reference)
