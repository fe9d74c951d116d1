"""What of the GPU's path can be checked without one: which device is taken, and that both feeds give the same rows."""

import pytest
import torch

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.data.batches import Batches
from bench.training.config import TrialConfig
from bench.training.device import CopyingFeed, ResidentFeed, choose_device
from bench.training.loop import Trainer
from bench.training.step import WARMUP, CapturedStep

CPU = torch.device("cpu")


def test_cuda_that_is_not_there_and_unknown_names_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="expected a CUDA device that torch can use, found none"):
        choose_device("cuda")
    with pytest.raises(UserError, match="expected one of auto, cpu, cuda, found 'gpu'"):
        choose_device("gpu")


@pytest.mark.parametrize("size", [1, 16, 20, 64, 100])
@pytest.mark.parametrize("weights", [0, 1])
def test_feeds_give_the_same_batches_as_the_store(tiny, size, weights):
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


def test_training_from_the_device_is_training_from_the_store(tiny):
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("captured", [True, False])
def test_a_step_takes_each_batch_once_whether_it_can_be_captured_or_not(captured):
    """What reads a value back to the host cannot be captured: it runs as it is, after one note."""
    notes, total = [], torch.zeros(3, device="cuda")

    def compute(labels):
        if not captured:
            labels[0, 0].item()
        total.add_(labels.sum(0))
        return labels.sum(0)

    step = CapturedStep(compute, notes.append)
    batches = [torch.full((rows, 3), float(at), device="cuda") for at, rows in enumerate([4] * (WARMUP + 3) + [3, 4])]
    for batch in batches:
        assert torch.equal(step(batch), batch.sum(0))
    assert torch.equal(total, torch.cat(batches).sum(0))
    assert [note.startswith("training without a CUDA graph: ") for note in notes] == [True] * (not captured)
