"""The fused kernels against the compiled ones of the CPU and the torch operations.

Triton interprets them on the CPU where there is no GPU. A compiler's work and a CUDA graph are not tested by that.
"""

import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch

from bench.core.schema import Field, Schema
from bench.training.optimizers import ROW_OPTIMIZERS

SCHEMA = Schema((Field("item", 30), Field("hot", 2), Field("tags", 5, slots=2)), (), ())
NAMES = pytest.mark.parametrize("name", [name for name, entry in ROW_OPTIMIZERS.items() if entry.build.fused])
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is missing; torch's CUDA wheels bring it")
MODULE = "bench.training.optimizers.fused"


@pytest.fixture
def fused():
    from bench.training.optimizers import fused

    if DEVICE.type == "cpu" and type(fused.sgd).__name__ != "InterpretedFunction":
        pytest.skip("Triton was imported before TRITON_INTERPRET was set")
    return fused


def make(name, width, kernels=None, **options):
    weight = torch.randn(SCHEMA.rows, width, generator=torch.Generator().manual_seed(1))
    weight[0] = 0
    if kernels is not None:
        options = {"compiled": False} | options
        weight = weight.to(DEVICE)
    optimizer = ROW_OPTIMIZERS[name].build(weight, SCHEMA, lr=0.05, l2=0.1, **options)
    optimizer._kernels = kernels
    return optimizer


def batch(seed, size, width, dtype=torch.float32):
    """Two ids that make up a quarter of the batch, padding in a third of the tags, and an item in three never there.

    Gradients are multiples of 1/8, which add up without rounding in any order.
    """
    generator = torch.Generator().manual_seed(seed)
    item = 1 + 3 * torch.randint(0, 10, (size, 1), generator=generator)
    hot = 31 + torch.randint(0, 2, (size, 1), generator=generator)
    tags = torch.randint(30, 38, (size, 2), generator=generator)
    ids = torch.cat([item, hot, torch.where(tags < 33, 0, tags)], dim=1).int()
    gradient = torch.randint(-16, 17, (size, 4, width), generator=generator) / 8
    return ids, gradient.to(dtype)


@needs_triton
@NAMES
@pytest.mark.parametrize(
    ("width", "tile", "size", "dtype"),
    [(1, 2, 16, torch.float32), (5, 4, 24, torch.bfloat16), (16, 16, 9, torch.float32), (3, None, 70, torch.float32)],
)
def test_equals_the_other_paths(name, width, tile, size, dtype, fused, monkeypatch):
    """Tiles of 2 split a run of 8 ids into more parts than one block adds up; a tile may also hold many runs."""
    if tile:
        monkeypatch.setattr(fused, "tile_of", lambda width, of=fused.tile_of: of(width) | {"TILE": tile})
    ours, compiled, plain = (make(name, width, fused), make(name, width), make(name, width, compiled=False))
    before = ours.weight.cpu().clone()
    touched = set()
    for step in range(3):
        ids, gradient = batch(step, size, width, dtype)
        for optimizer in (ours, compiled, plain):
            optimizer.lr = 0.05 / (1 + step)
            optimizer.step(ids.to(optimizer.weight.device), gradient.to(optimizer.weight.device))
        touched |= set(ids.unique().tolist()) - {0}
    for other in (compiled, plain):
        torch.testing.assert_close(ours.weight.cpu(), other.weight, atol=1e-6, rtol=1e-6)
        for key, tensor in other.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key].cpu(), tensor, atol=1e-6, rtol=1e-6)
    rest = [row for row in range(SCHEMA.rows) if row not in touched]
    assert len(rest) > 20
    assert torch.equal(ours.weight.cpu()[rest], before[rest])
    assert not any(tensor[rest].any() for tensor in ours.state_dict().values())


@needs_triton
@NAMES
def test_every_call_gives_the_same_bits(name, fused):
    """Gradients whose sums are rounded: another order of additions would show."""
    ids, gradient = (tensor.to(DEVICE) for tensor in batch(0, 70, 3))
    pair = [make(name, 3, fused) for _ in range(2)]
    for optimizer in pair:
        optimizer.step(ids, gradient * 0.3)
    assert torch.equal(pair[0].weight, pair[1].weight)


def raises(*arguments):
    raise RuntimeError("Failed to find C compiler.\nmore")


@pytest.mark.parametrize(
    ("step", "warning"), [(raises, "kernel: Failed to find C compiler.$"), (lambda *arguments: None, "not close")]
)
def test_kernels_that_fail_or_disagree_are_not_used(step, warning, monkeypatch):
    import bench.training.optimizers as package

    stand_in = SimpleNamespace(step=step)
    monkeypatch.setitem(sys.modules, MODULE, stand_in)
    monkeypatch.setattr(package, "fused", stand_in, raising=False)
    with pytest.warns(UserWarning, match=warning):
        assert make("adam", 3)._fused_kernels(SCHEMA) is None


@needs_triton
@NAMES
@pytest.mark.skipif(DEVICE.type == "cpu", reason="a CUDA graph needs a GPU")
def test_a_captured_step_replays_with_new_ids_and_rates(name, fused):
    captured, plain = make(name, 16, fused), make(name, 16, fused)
    ids, gradient = (tensor.to(DEVICE) for tensor in batch(0, 70, 16))
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        captured.step(ids, gradient)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        captured.step(ids, gradient)
    plain.step(ids, gradient)
    for seed in (1, 2):
        for tensor, new in zip((ids, gradient), batch(seed, 70, 16), strict=True):
            tensor.copy_(new)
        captured.lr = plain.lr = 0.05 / seed
        graph.replay()
        plain.step(ids, gradient)
    assert torch.equal(captured.weight, plain.weight)
