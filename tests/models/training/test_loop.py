"""The training loop: its options, device and schedule, how it stops, pauses and goes on, which
outcomes it measures.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import RARER, Scalar
from bench.core.schema import Schema, Task
from bench.data.batches import Batches
from bench.models.training.config import TrialConfig
from bench.models.training.device import CopyingFeed, ResidentFeed, choose_device
from bench.models.training.evaluation import ranked_in
from bench.models.training.loop import Schedule, Trainer
from bench.models.training.selection import LOOKS, Averaging, Selector, selectors
from bench.models.training.step import WARMUP, CapturedStep


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("warmup", 1.0, "warmup: .*less than 1, found 1.0"),
        ("clip", float("inf"), "clip: .*finite"),
        ("precision", "fp16", "precision: .*found 'fp16'"),
    ],
)
def test_values_out_of_range_are_refused(name, value, says):
    with pytest.raises(UserError, match=says):
        TrialConfig.parse({f"optim.{name}": value})


def rates(schedule):
    return [schedule.factor(step) for step in range(schedule.total)]


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_cosine_and_linear_decay_are_torchs(warmup):
    total = 40
    for decay, twin in (
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, total - warmup)),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total - warmup)),
    ):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = twin(optimizer)
        expected = []
        for _ in range(total - warmup):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates(Schedule(decay, total, warmup))[warmup:] == pytest.approx(expected, abs=1e-9)


def test_warm_up_rises_by_equal_steps_to_one():
    assert rates(Schedule("constant", 6, 4)) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(Schedule("cosine", 6, 4))[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.logloss", "minimize")


def test_it_waits_since_the_best_and_ties_do_not_count():
    selector = Selector((CLICK,))
    judgements = [
        selector.judge({"valid/click.auc": value}, number)
        for number, value in enumerate((0.6, 0.7, 0.7, 0.65), 1)
    ]
    assert judgements == [True, True, False, False]
    assert (selector.best, selector.waited, selector.samples) == (0.7, 2, 2)


def test_separate_tasks_follow_their_own_objectives_else_all():
    first, second, third = selectors(
        [CLICK, LIKE, Objective("cost/parameters", "minimize")], ["click", "like", "buy"], True
    )
    assert (first.objectives, second.objectives, third.objectives) == (
        (CLICK,),
        (LIKE,),
        (CLICK, LIKE),
    )
    assert [first.task, second.task, third.task] == [0, 1, 2]
    (alone,) = selectors([CLICK, LIKE], ["click", "like"], False)
    assert (alone.objectives, alone.task) == ((CLICK, LIKE), None)


def test_without_selection_training_goes_to_its_end_and_validation_is_not_looked_at(tiny):
    config = TrialConfig.parse(
        {"optim.epochs": 6, "optim.patience": 1, "optim.batch_size": 16, "embedding.dim": 2}
    )
    trainer = Trainer(tiny, config, (CLICK,), seed=0, device="cpu", select=False)
    course = trainer.run_to()
    assert (course.finished, course.step, course.curve) == (True, 24, [])
    assert trainer.evaluation.samples == 0


@pytest.mark.parametrize(("share", "total"), [(0.25, 100), (0.5, 7), (0.9, 1000)])
def test_the_average_is_the_mean_of_evenly_spaced_weights(share, total):
    model = torch.nn.Linear(3, 2)
    averaging, seen = Averaging(model, share, total), {}
    for step in range(1, total + 1):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        seen[step] = model.weight.detach().clone()
        averaging.after(step)
    window = round(share * total)
    steps = [total - window * number // min(LOOKS, window) for number in range(min(LOOKS, window))]
    assert max(steps) == total
    assert min(steps) > total - window
    torch.testing.assert_close(
        model.weight.detach(), torch.stack([seen[step] for step in steps]).mean(0)
    )


SHORT: dict[str, Scalar] = {
    "embedding.dim": 2,
    "sharing.kind": "single_task",
    "sharing.single_task.layers": "4",
}
SHORT |= {"tower.layers": "4", "optim.epochs": 2, "optim.batch_size": 16}


def test_a_training_stops_early_by_an_outcome_and_measures_and_resamples_those_that_are_asked_for(
    tiny,
):
    first, second = (task.name for task in tiny.schema.tasks[:2])
    objectives = [Objective(f"{first}.recall@25%", "maximize")]
    asked = (f"{second}.ndcg@3", f"{second}.auc")
    trainer = Trainer(
        tiny, TrialConfig.parse(SHORT), objectives, seed=1, device="cpu", outcomes=asked
    )
    trainer.run_to()
    plain, key = trainer.metrics("valid"), f"valid/{first}.recall@25%"
    assert trainer.evaluation.resampled == {}
    assert trainer.metrics("valid", 4) == plain
    assert max(point[key] for point in trainer.course.curve) == plain[key]
    assert {key, f"valid/{second}.ndcg@3"} <= set(trainer.evaluation.resampled)
    assert {key for key in trainer.evaluation.resampled if not key.endswith(RARER)} <= set(plain)
    assert len(trainer.evaluation.resampled[key]) == 4


def test_a_task_is_ranked_where_both_splits_that_choose_have_groups_that_tell():
    """Groups of five with both labels; `dull` has but one label in each group of the second
    split.
    """
    rng, group = np.random.default_rng(0), np.repeat(np.arange(400), 5)
    labels = (rng.random((2000, 2)) < 0.5).astype(np.float32)
    of_group = np.stack([labels[:, 0], labels[::5, 1].repeat(5)], axis=1)
    ungrouped = np.full(2000, -1)
    tasks = (Task("click"), Task("dull"))

    def found(*splits):
        by_split = {
            name: SimpleNamespace(labels_of=lambda rows, values=values: values[rows], group=groups)
            for name, (values, groups) in zip(("valid", "confirm"), splits, strict=True)
        }
        return ranked_in(SimpleNamespace(schema=Schema((), (), tasks), split=by_split.__getitem__))

    assert found((labels, group), (labels, group)) == {"click", "dull"}
    for other_labels, expected in ((of_group, {"click"}), (labels, set())):
        second = (other_labels, group if expected else ungrouped)
        assert found((labels, group), second) == found(second, (labels, group)) == expected


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
    for feed in (ResidentFeed(split, CPU), CopyingFeed(Batches(split), CPU)):
        assert feed.steps(size) == plain.steps(size)
        for actual, expected in (
            (feed.in_order(size), plain.in_order(size)),
            (feed.shuffled(size, 5), plain.shuffled(size, 5)),
        ):
            pairs = list(zip(actual, expected, strict=True))
            assert pairs
            for first, second in pairs:
                assert all(
                    torch.equal(a, b) for a, b in zip(first, second, strict=True) if a is not None
                )


def test_training_from_the_device_is_training_from_the_store(tiny):
    """The device-agnostic road, taken on the CPU: resident arrays and the optimizer's path without
    compiled kernels.
    """
    config = TrialConfig.parse(
        {"embedding.dim": 4, "optim.batch_size": 16, "optim.epochs": 2, "optim.precision": "fp32"}
    )
    trainers = [
        Trainer(tiny, config, [Objective("click.auc", "maximize")], seed=1) for _ in range(2)
    ]
    trainers[1].data = ResidentFeed(tiny.split("train"), CPU)
    trainers[1].step.rows._groups = []
    for trainer in trainers:
        trainer.run_to()
    first, second = (trainer.model.state_dict() for trainer in trainers)
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-3, atol=1e-5)


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
    batches = [
        torch.full((rows, 3), float(number), device="cuda")
        for number, rows in enumerate([4] * (WARMUP + 3) + [3, 4])
    ]
    for batch in batches:
        assert torch.equal(step(batch), batch.sum(0))
    assert torch.equal(total, torch.cat(batches).sum(0))
    assert [note.startswith("training without a CUDA graph: ") for note in notes] == [True] * (
        not captured
    )


TASKS = (Task("click"), Task("like"))
OBJECTIVES = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
BATCH, STEPS = 16, 4  # an epoch of 64 samples
BEFORE, WITHIN, AT_EVALUATION, AT_EPOCH, LATER = 0, 16, 32, 64, 9 * 16
EVERYWHERE = [BEFORE, WITHIN, AT_EVALUATION, AT_EPOCH, 65, LATER]


@pytest.fixture(scope="module")
def store(tiny):
    return type(tiny)(rows=STEPS * BATCH, tasks=TASKS)


def trainer(store, seed=3, **changes):
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
    return Trainer(store, TrialConfig.parse(dotted | changes), OBJECTIVES, seed)


def ending(training):
    """All that a training leaves, but its seconds and what it remembers only to spare work."""
    state = training.state_dict()
    state["course"].pop("seconds")
    state.pop("measured")
    return {
        "state": dict(flat(state)),
        "valid": training.metrics("valid"),
        "test": training.metrics("test"),
    }


def flat(value, path=""):
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    for key, inner in items:
        yield from flat(inner, f"{path}/{key}")
    if not isinstance(value, dict | list | tuple):
        yield path, value


def assert_same(result, expected):
    assert result["state"].keys() == expected["state"].keys()
    for name, value in expected["state"].items():
        actual = result["state"][name]
        same = torch.equal(actual, value) if isinstance(value, torch.Tensor) else actual == value
        assert same, name
    assert (result["valid"], result["test"]) == (expected["valid"], expected["test"])


def in_pieces(store, rungs, folder, **changes):
    """Each piece in a trainer of its own, which knows the others by their checkpoints only."""
    path = None
    for number, rung in enumerate([*rungs, None]):
        training = trainer(store, **changes)
        torch.manual_seed(number)  # another process's random state
        if path is not None:
            training.load(path)
        training.run_to(rung)
        path = folder / f"{number}.safetensors"
        training.save(path)
    return training


def assert_resumes(store, rungs, folder, **changes):
    """A training in pieces ends as one that never paused."""
    whole = trainer(store, **changes)
    whole.run_to()
    assert_same(ending(in_pieces(store, rungs, folder, **changes)), ending(whole))


PAIRS = [
    ("single_task", "uncertainty"),
    ("shared_bottom", "rlw"),
    ("shared_embeddings", "dwa"),
    ("mmoe", "metabalance"),
    ("cross_stitch", "gradvac"),
    ("star", "metabalance"),
]
"""Of each kind of balancer one with a state, and what draws; `test_conformance.py` restores all of
them in memory.
"""


@pytest.mark.parametrize(("sharing", "balancing"), PAIRS)
def test_every_kind_of_sharing_and_balancer_resumes(store, tmp_path, sharing, balancing):
    changes = {"sharing.kind": sharing, "balancing.kind": balancing}
    changes |= {"dwa": {"balancing.dwa.virtual_epoch": 2}, "rlw": {"optim.averaging": 0.5}}.get(
        balancing, {}
    )
    assert_resumes(
        store,
        EVERYWHERE if balancing in ("dwa", "rlw", "uncertainty") else [WITHIN, LATER],
        tmp_path,
        **changes,
    )


@pytest.mark.parametrize("sharing", ["shared_bottom", "single_task"])
def test_one_trainer_may_pause_and_save_at_any_time(store, tmp_path, sharing):
    whole, paused = (trainer(store, **{"sharing.kind": sharing}) for _ in range(2))
    whole.run_to()
    for rung in EVERYWHERE:
        paused.run_to(rung)
        # whole batches, no fewer samples than asked for
        assert paused.course.step == -(-rung // BATCH)
        paused.metrics("valid")
        paused.save(tmp_path / "a.safetensors")
        torch.rand(3)
    paused.run_to()
    assert_same(ending(paused), ending(whole))


def test_a_training_that_stopped_early_stays_stopped(store, tmp_path):
    changes = {"optim.patience": 1, "optim.epochs": 50, "optim.lr": 0.3}
    whole = trainer(store, **changes)
    assert whole.run_to().finished
    assert whole.course.step < whole.total
    pieces = in_pieces(
        store, [LATER, whole.course.samples, 10 * whole.course.samples], tmp_path, **changes
    )
    assert_same(ending(pieces), ending(whole))


class TestMistakes:
    def saved(self, store, path):
        training = trainer(store)
        training.run_to(WITHIN)
        training.save(path)
        return path

    @pytest.mark.parametrize("length", [0, 300])
    def test_a_truncated_file(self, store, tmp_path, length):
        path = self.saved(store, tmp_path / "a")
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(
            UserError, match=r"expected a whole checkpoint in .*a, found a damaged or foreign file"
        ):
            trainer(store).load(path)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [({"optim.lr": 0.5}, r"optim\.lr = 0\.5, found 0\.02"), ({"seed": 4}, "seed = 4, found 3")],
    )
    def test_another_training(self, store, tmp_path, changes, says):
        path = self.saved(store, tmp_path / "a")
        with pytest.raises(UserError, match=f"expected a checkpoint of a training with {says}"):
            trainer(store, **changes).load(path)

    def test_a_failed_write_surfaces_and_leaves_the_last_checkpoint(
        self, store, tmp_path, monkeypatch
    ):
        path = self.saved(store, tmp_path / "a")
        before = path.read_bytes()

        def full(*args):
            raise OSError("No space left on device")

        monkeypatch.setattr("bench.models.training.checkpoint.save_file", full)
        training = trainer(store)
        with pytest.raises(OSError, match="No space left"):
            training.save(path)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["a"]
