from __future__ import annotations

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from where_time_goes import STAGES, Ceilings, Profile, counted, show, traffic

from bench.core.objectives import Objective
from bench.models.products import by_onednn
from bench.testing.training import MemoryStore
from bench.training.config import TrialConfig
from bench.training.loop import Trainer


@pytest.fixture
def tiny() -> MemoryStore:
    return MemoryStore()


def trainer(tiny, balancing: str) -> Trainer:
    dotted = {"balancing.kind": balancing, "embedding.dim": 4, "tower.layers": "8", "tower.dropout": 0.2}
    dotted |= {"optim.batch_size": 16, "optim.epochs": 2, "optim.precision": "fp32"}
    return Trainer(tiny, TrialConfig.parse(dotted), [Objective("click.auc", "maximize")], seed=1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("where_time_goes.measure_ceilings", lambda device, dtype: Ceilings(1e9, 1e9, "float32"))


@pytest.mark.parametrize("balancing", ["static", "uncertainty", "upgrad"])
def test_every_stage_is_timed_and_the_training_is_the_same(tiny, quick, balancing: str, capsys) -> None:
    plain, watched = trainer(tiny, balancing), trainer(tiny, balancing)
    profile = Profile()
    profile.watch(watched)
    plain.run_to()
    started = time.perf_counter()
    watched.run_to()
    spent = time.perf_counter() - started
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, watched.model.state_dict()[name]), name
    stages = profile.stages()
    assert profile.steps == watched.total - 1
    assert tuple(stage.name for stage in stages) == STAGES
    assert all(stage.seconds > 0 for stage in stages)
    assert sum(stage.seconds for stage in stages) < spent
    assert sum(stage.percent for stage in stages) == pytest.approx(100)
    assert {s.name for s in stages if s.matrix is not None} == {"forward", "backward"}
    assert {s.name for s in stages if s.memory is not None} == {"batch", "gather", "dense step", "table step"}
    show(profile)
    assert "1 GFLOP/s in products of float32, 1.0 GB/s in a copy" in capsys.readouterr().out


def test_a_stage_inside_another_is_counted_once(tiny, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("where_time_goes.time.perf_counter", lambda: now[0])
    profile = Profile()
    profile._counting = False

    def take(seconds: float) -> None:
        now[0] += seconds

    inner = profile._timed(lambda: take(2.0), "balancing")
    outer = profile._timed(lambda: (take(1.0), inner(), take(3.0)), "backward")
    outer()
    inner()
    found = {stage.name: stage.seconds for stage in profile.stages()}
    assert (found["backward"], found["balancing"]) == (4.0, 4.0)


def test_products_are_counted_by_their_shapes(tiny, quick) -> None:
    """Forward: two operations for each weight and sample. Backward: twice that."""
    made, profile = trainer(tiny, "static"), Profile()
    profile.watch(made)
    made.run_to(16)
    weights = sum(
        p.numel() for name, p in made.model.named_parameters() if "weight" in name and "embedding" not in name
    )
    assert profile._work["forward"] == pytest.approx(2 * 16 * weights, rel=0.05)  # the pooling of `tags` adds a little
    assert profile._work["backward"] == pytest.approx(4 * 16 * weights, rel=0.05)


def test_products_by_onednn_are_counted() -> None:
    with FlopCounterMode(display=False, custom_mapping=counted()) as counter:
        by_onednn(torch.ones(2, 8, 7), torch.ones(2, 7, 5))
    assert counter.get_total_flops() == 2 * 2 * 8 * 7 * 5


def test_traffic_of_a_step_by_hand(tiny) -> None:
    made = trainer(tiny, "static")
    ids = torch.tensor([[1, 21, 22, 40], [1, 21, 23, 40]], dtype=torch.int32)  # 5 distinct rows
    found = traffic(made, ids, torch.zeros(2, 4, 4))
    dense = sum(p.numel() for p in made.model.dense_parameters())
    assert found == {
        "batch": 2 * 2 * (4 + 2 + 3) * 4,
        "gather": 8 * 4 + 2 * 32 * 4,
        "dense step": 7 * 4 * dense,
        "table step": 8 * 4 + 32 * 4 + 2 * 5 * (16 + 16 + 2 * 16 + 4),
    }
