"""The touched-row optimizer against a slow twin, and against torch's Adam where every row is touched."""

import math

import numpy as np
import pytest
import torch

from bench.schema import Field, Schema
from bench.training.rows import RowAdam

SCHEMA = Schema((Field("user", 9), Field("tags", 5, slots=3), Field("item", 30)), (), ())
SLOTS = SCHEMA.slots


def batch(seed: int, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids with many repeats and some padding, and a gradient of their embeddings."""
    rng = np.random.default_rng(seed)
    columns = []
    for field, offset in zip(SCHEMA.fields, SCHEMA.offsets, strict=True):
        for slot in range(field.slots):
            ids = offset + rng.integers(0, field.cardinality, size)
            columns.append(np.where(rng.random(size) < 0.4, 0, ids) if slot else ids)
    ids = torch.tensor(np.stack(columns, axis=1), dtype=torch.int32)
    return ids, torch.tensor(rng.normal(size=(size, SLOTS, 4)), dtype=torch.float32)


def table(seed: int = 0) -> torch.Tensor:
    weight = torch.tensor(np.random.default_rng(seed).normal(size=(SCHEMA.rows, 4)), dtype=torch.float32)
    weight[0] = 0
    return weight


def slow_twin(weight: torch.Tensor, steps: int, lr: float, l2: float) -> np.ndarray:
    """The same rule, one row at a time, in double precision."""
    w = weight.double().numpy().copy()
    mean, square, count = np.zeros_like(w), np.zeros_like(w), np.zeros(len(w), dtype=int)
    for step in range(steps):
        ids, gradient = batch(step)
        for row in np.unique(ids.numpy()):
            if row == 0:
                continue
            g = gradient.double().numpy()[ids.numpy() == row].sum(axis=0)
            count[row] += 1
            mean[row] = 0.9 * mean[row] + 0.1 * g
            square[row] = 0.999 * square[row] + 0.001 * g * g
            m, v = mean[row] / (1 - 0.9 ** count[row]), square[row] / (1 - 0.999 ** count[row])
            w[row] = (1 - lr * l2) * w[row] - lr * m / (np.sqrt(v) + 1e-8)
    return w


@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_equals_the_slow_twin(l2: float, threads: int) -> None:
    weight = table()
    expected = slow_twin(weight, steps=5, lr=0.05, l2=l2)
    optimizer = RowAdam(weight, SCHEMA, lr=0.05, l2=l2, threads=threads)
    for step in range(5):
        optimizer.step(*batch(step))
    np.testing.assert_allclose(weight.numpy(), expected, atol=2e-6)


def test_is_torch_adam_when_every_row_is_touched_once_a_step() -> None:
    schema = Schema((Field("id", 20),), (), ())
    ours = torch.randn(schema.rows, 4, generator=torch.Generator().manual_seed(1))
    theirs = ours.clone().requires_grad_()
    optimizer, reference = RowAdam(ours, schema, lr=0.01), torch.optim.Adam([theirs], lr=0.01)
    ids = torch.arange(1, 21, dtype=torch.int32).unsqueeze(1)
    for step in range(10):
        gradient = torch.randn(20, 1, 4, generator=torch.Generator().manual_seed(step))
        optimizer.step(ids, gradient)
        theirs.grad = torch.cat([torch.zeros(1, 4), gradient[:, 0]])
        reference.step()
    torch.testing.assert_close(ours[1:], theirs.detach()[1:], atol=1e-6, rtol=1e-5)


def test_thread_count_changes_no_bit() -> None:
    tables = []
    for threads in (1, 3):
        weight = table()
        optimizer = RowAdam(weight, SCHEMA, lr=0.1, threads=threads)
        for step in range(4):
            optimizer.step(*batch(step))
        tables.append(weight)
    assert torch.equal(*tables)


def test_untouched_rows_and_padding_keep_every_bit() -> None:
    weight = table()
    before = weight.clone()
    ids, gradient = batch(0, size=2)
    RowAdam(weight, SCHEMA, lr=0.1, l2=1.0).step(ids, gradient)
    untouched = np.setdiff1d(np.arange(SCHEMA.rows), ids.numpy())
    assert torch.equal(weight[untouched], before[untouched])
    assert torch.equal(weight[0], torch.zeros(4))
    touched = [row for row in np.unique(ids.numpy()) if row]
    assert (weight[touched] != before[touched]).any(dim=1).all()


def test_an_empty_batch_is_no_step() -> None:
    weight = table()
    before = weight.clone()
    RowAdam(weight, SCHEMA, lr=0.1).step(torch.empty(0, SLOTS, dtype=torch.int32), torch.empty(0, SLOTS, 4))
    assert torch.equal(weight, before)


def test_a_rare_rows_first_step_has_the_size_of_the_learning_rate() -> None:
    weight = table()
    optimizer = RowAdam(weight, SCHEMA, lr=0.1)
    for step in range(50):
        ids, gradient = batch(step)
        ids[:, -1] = SCHEMA.offsets[-1]
        optimizer.step(ids, gradient)
    rare = SCHEMA.rows - 1
    before = weight[rare].clone()
    ids, gradient = batch(99, size=1)
    ids[0, -1] = rare
    optimizer.step(ids, gradient)
    torch.testing.assert_close((weight[rare] - before).abs(), torch.full((4,), 0.1), rtol=1e-3, atol=1e-4)


def test_a_resumed_optimizer_goes_on_bit_for_bit() -> None:
    straight, resumed = table(), table()
    whole = RowAdam(straight, SCHEMA, lr=0.1)
    first = RowAdam(resumed, SCHEMA, lr=0.1)
    for step in range(3):
        whole.step(*batch(step))
        first.step(*batch(step))
    second = RowAdam(resumed, SCHEMA, lr=0.1)
    second.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()})
    for step in range(3, 6):
        whole.step(*batch(step))
        second.step(*batch(step))
    assert torch.equal(straight, resumed)


def test_a_huge_gradient_stays_finite() -> None:
    weight = table()
    ids, gradient = batch(0)
    RowAdam(weight, SCHEMA, lr=0.1).step(ids, gradient * 1e15)
    assert math.isfinite(weight.abs().max().item())
