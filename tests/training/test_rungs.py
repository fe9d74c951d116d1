"""A training that pauses and goes on elsewhere is the training that never paused, bit for bit."""

import pytest
import torch

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.schema import Task
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

TASKS = (Task("click"), Task("like"))
OBJECTIVES = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
BATCH, STEPS = 16, 4  # an epoch of 64 samples
BEFORE, WITHIN, AT_EVALUATION, AT_EPOCH, LATER = 0, 16, 32, 64, 9 * 16
EVERYWHERE = [BEFORE, WITHIN, AT_EVALUATION, AT_EPOCH, 65, LATER]


@pytest.fixture(scope="module")
def store(tiny):
    return type(tiny)(rows=STEPS * BATCH, tasks=TASKS)


def trainer(store, seed=3, **more):
    dotted = {
        "embedding.dim": 4,
        "tower.layers": "8",
        "tower.dropout": 0.3,
        "optim.lr": 0.02,
        "optim.batch_size": BATCH,
        "optim.epochs": 3,
        "optim.evaluations": 2,
        "optim.patience": 100,
        "optim.warmup": 0.25,
        "optim.precision": "fp32",
    }
    return Trainer(store, TrialConfig.parse(dotted | more), OBJECTIVES, seed)


def ending(made):
    """All that a training leaves, but its seconds and what it remembers only to spare work."""
    state = made.state_dict()
    state["course"].pop("seconds")
    state.pop("measured")
    return {"state": dict(flat(state)), "valid": made.metrics("valid"), "test": made.metrics("test")}


def flat(value, path=""):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in items:
        yield from flat(inner, f"{path}/{key}")
    if not isinstance(value, dict | list | tuple):
        yield path, value


def assert_same(found, expected):
    assert found["state"].keys() == expected["state"].keys()
    for name, value in expected["state"].items():
        other = found["state"][name]
        same = torch.equal(other, value) if isinstance(value, torch.Tensor) else other == value
        assert same, name
    assert (found["valid"], found["test"]) == (expected["valid"], expected["test"])


def in_pieces(store, rungs, folder, **more):
    """Each piece in a trainer of its own, which knows the others by their checkpoints only."""
    path = None
    for number, rung in enumerate([*rungs, None]):
        made = trainer(store, **more)
        torch.manual_seed(number)  # another process's random state
        if path is not None:
            made.load(path)
        made.run_to(rung)
        path = folder / f"{number}.safetensors"
        made.save(path)
    return made


def assert_resumes(store, rungs, folder, **more):
    """A training in pieces ends as one that never paused."""
    whole = trainer(store, **more)
    whole.run_to()
    assert_same(ending(in_pieces(store, rungs, folder, **more)), ending(whole))


PAIRS = [
    ("single_task", "uncertainty"),
    ("shared_bottom", "rlw"),
    ("shared_embeddings", "dwa"),
    ("mmoe", "metabalance"),
    ("cross_stitch", "gradvac"),
    ("star", "metabalance"),
]
"""Of each kind of balancer one with a state, and what draws; `test_conformance.py` restores all of them in memory."""


@pytest.mark.parametrize(("sharing", "balancing"), PAIRS)
def test_every_kind_of_sharing_and_balancer_resumes(store, tmp_path, sharing, balancing):
    more = {"sharing.kind": sharing, "balancing.kind": balancing}
    more |= {"dwa": {"balancing.dwa.virtual_epoch": 2}, "rlw": {"optim.averaging": 0.5}}.get(balancing, {})
    assert_resumes(
        store, EVERYWHERE if balancing in ("dwa", "rlw", "uncertainty") else [WITHIN, LATER], tmp_path, **more
    )


@pytest.mark.parametrize("sharing", ["shared_bottom", "single_task"])
def test_one_trainer_may_pause_and_save_at_any_time(store, tmp_path, sharing):
    whole, paused = (trainer(store, **{"sharing.kind": sharing}) for _ in range(2))
    whole.run_to()
    for rung in EVERYWHERE:
        paused.run_to(rung)
        assert paused.course.step == -(-rung // BATCH)  # whole batches, no fewer samples than asked for
        paused.metrics("valid")
        paused.save(tmp_path / "a.safetensors")
        torch.rand(3)
    paused.run_to()
    assert_same(ending(paused), ending(whole))


def test_a_training_that_stopped_early_stays_stopped(store, tmp_path):
    more = {"optim.patience": 1, "optim.epochs": 50, "optim.lr": 0.3}
    whole = trainer(store, **more)
    assert whole.run_to().finished
    assert whole.course.step < whole.total
    pieces = in_pieces(store, [LATER, whole.course.samples, 10 * whole.course.samples], tmp_path, **more)
    assert_same(ending(pieces), ending(whole))


class TestMistakes:
    def saved(self, store, path):
        made = trainer(store)
        made.run_to(WITHIN)
        made.save(path)
        return path

    @pytest.mark.parametrize("kept", [0, 300])
    def test_a_truncated_file(self, store, tmp_path, kept):
        path = self.saved(store, tmp_path / "a")
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(UserError, match=r"expected a whole checkpoint in .*a, found a damaged or foreign file"):
            trainer(store).load(path)

    @pytest.mark.parametrize(
        ("more", "says"), [({"optim.lr": 0.5}, r"optim\.lr = 0\.5, found 0\.02"), ({"seed": 4}, "seed = 4, found 3")]
    )
    def test_another_training(self, store, tmp_path, more, says):
        path = self.saved(store, tmp_path / "a")
        with pytest.raises(UserError, match=f"expected a checkpoint of a training with {says}"):
            trainer(store, **more).load(path)

    def test_a_failed_write_surfaces_and_leaves_the_last_checkpoint(self, store, tmp_path, monkeypatch):
        path = self.saved(store, tmp_path / "a")
        before = path.read_bytes()

        def full(*args):
            raise OSError("No space left on device")

        monkeypatch.setattr("bench.training.checkpoint.save_file", full)
        made = trainer(store)
        with pytest.raises(OSError, match="No space left"):
            made.save(path)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["a"]
