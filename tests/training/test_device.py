"""What of the GPU's path can be checked without one: which device is taken, and that both feeds give the same rows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.data.batches import Batches
from bench.system.machine import WORKER
from bench.training import step as module
from bench.training.config import TrialConfig
from bench.training.device import SHARE, CopyingFeed, ResidentFeed, choose_device, feed, fits
from bench.training.loop import Trainer
from bench.training.step import WARMUP, CapturedStep

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("there", "name", "expected"),
    [
        (True, "auto", "cuda"),
        (True, "cuda", "cuda"),
        (True, "cpu", "cpu"),
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
    ],
)
def test_auto_takes_cuda_where_it_is(monkeypatch: pytest.MonkeyPatch, there: bool, name: str, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device(name).type == expected


@pytest.mark.parametrize(("number", "expected"), [(None, 0), (0, 0), (1, 1), (2, 2), (3, 0), (7, 1)])
def test_workers_share_the_devices_out(
    tiny, monkeypatch: pytest.MonkeyPatch, number: int | None, expected: int
) -> None:
    """A process that is no worker of ours (or is Ray's, which has devices of its own) takes the first that it sees."""

    class Taken(Exception):
        pass

    def take(device: torch.device) -> None:
        raise Taken(device.index)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", take)
    monkeypatch.delenv(WORKER, raising=False)
    if number is not None:
        monkeypatch.setenv(WORKER, str(number))
    assert choose_device("auto") == torch.device("cuda", expected)
    with pytest.raises(Taken, match=str(expected)):  # what names no device goes there, too
        Trainer(tiny, TrialConfig.parse({}), [Objective("click.auc", "maximize")], seed=1)


def test_cuda_that_is_not_there_and_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="expected a CUDA device that torch can use, found none"):
        choose_device("cuda")
    with pytest.raises(UserError, match="expected one of auto, cpu, cuda, found 'gpu'"):
        choose_device("gpu")


@pytest.mark.parametrize("size", [1, 16, 20, 64, 100])
@pytest.mark.parametrize("weights", [0, 1])
def test_feeds_give_the_same_batches_as_the_store(tiny, size: int, weights: int) -> None:
    split = (type(tiny)(weights=weights) if weights else tiny).split("train")
    plain = Batches(split)
    for made in (ResidentFeed(split, CPU), CopyingFeed(Batches(split), CPU)):
        assert made.steps(size) == plain.steps(size)
        for found, expected in (
            (made.in_order(size), plain.in_order(size)),
            (made.shuffled(size, 5), plain.shuffled(size, 5)),
        ):
            pairs = list(zip(found, expected, strict=True))
            assert pairs
            for one, other in pairs:
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True) if a is not None)


def test_a_feed_of_an_empty_split_is_empty(tiny) -> None:
    split = tiny.split("train")
    empty = type(split)(*(getattr(split, name)[:0] for name in ("ids", "dense", "labels", "group")))
    for made in (ResidentFeed(empty, CPU), CopyingFeed(Batches(empty), CPU)):
        assert list(made.in_order(8)) == []
        assert made.steps(8) == 0


def test_a_split_is_resident_where_it_fits(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tiny.split("train")
    needed = sum(getattr(split, name).nbytes for name in ("ids", "dense", "labels")) + 8 * len(split)
    assert fits(split, int(np.ceil(needed / SHARE)))
    assert not fits(split, int(needed / SHARE) - 1)
    for free, kind in ((10 * needed, ResidentFeed), (needed, CopyingFeed)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        monkeypatch.setattr(ResidentFeed, "__init__", lambda self, split, device, grouped: None)
        assert type(feed(split, torch.device("cuda"))) is kind
    assert type(feed(split, CPU)) is Batches


def test_training_from_the_device_is_training_from_the_store(tiny) -> None:
    """The device-agnostic road, taken on the CPU: resident arrays and the optimizer's path without compiled kernels."""
    config = TrialConfig.parse(
        {"embedding.dim": 4, "optim.batch_size": 16, "optim.epochs": 2, "optim.precision": "fp32"}
    )
    made = [Trainer(tiny, config, [Objective("click.auc", "maximize")], seed=1) for _ in range(2)]
    made[1].data = ResidentFeed(tiny.split("train"), CPU)
    made[1].step.rows._parts = []
    for trainer in made:
        trainer.run_to()
    one, other = (trainer.model.state_dict() for trainer in made)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-3, atol=1e-5)


class FakeGraph:
    """Stands for a CUDA graph: a capture that works replays the work that was recorded."""

    def __init__(self) -> None:
        self.work: Any = None

    def replay(self) -> None:
        self.work()


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def wait_stream(self, other: Any) -> None: ...

    for name, value in {
        "Stream": Stream,
        "stream": lambda stream: nullcontext(),
        "current_stream": Stream,
        "CUDAGraph": FakeGraph,
        "graph": lambda made: nullcontext(),
        "synchronize": lambda: None,
    }.items():
        monkeypatch.setattr(module.torch.cuda, name, value)


def batch(size: int, value: float) -> tuple[Tensor, Tensor, Tensor]:
    return torch.full((size, 2), value), torch.full((size, 1), value), torch.full((size, 3), value)


def test_a_captured_step_takes_each_batch_once(fake_cuda: None) -> None:
    seen: list[float] = []
    notes: list[str] = []
    where: list[Tensor] = []

    def compute(ids: Tensor, dense: Tensor, labels: Tensor) -> Tensor:
        capturing = len(seen) == WARMUP and not where
        if capturing:
            where.append(ids)  # recorded, not run
        else:
            seen.append(float(ids[0, 0]))
        return labels.sum(0)

    step = CapturedStep(compute, notes.append)
    for number in range(WARMUP):
        step(*batch(4, number))
    step.graph = None
    original = step._capture

    def capture(of: list[Tensor]) -> bool:
        done = original(of)
        assert step.graph is not None
        step.graph.work = lambda: seen.append(float(where[0][0, 0]))
        return done

    step._capture = capture  # type: ignore[method-assign]
    for number in (WARMUP, WARMUP + 1):
        step(*batch(4, number))
    step(*batch(3, 100))  # another shape runs as it is
    step(*batch(4, WARMUP + 2))
    assert seen == [*range(WARMUP + 2), 100, WARMUP + 2]
    assert where[0] is step.inputs[0]
    assert notes == []


def test_a_step_that_cannot_be_captured_runs_as_it_is_after_one_note(
    fake_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused:
        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(module.torch.cuda, "graph", lambda made: Refused())
    notes: list[str] = []
    done: list[int] = []
    step = CapturedStep(lambda ids, dense, labels: done.append(len(ids)) or labels.sum(0), notes.append)
    for number in range(WARMUP + 3):
        assert torch.equal(step(*batch(4, number)), torch.full((3,), 4.0 * number))
    assert notes == ["training without a CUDA graph: operation not permitted when stream is capturing"]
    assert len(done) == WARMUP + 3 + 1  # the refused capture launched nothing on a device
