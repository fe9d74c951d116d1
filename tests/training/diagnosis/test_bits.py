"""A training that is looked at is the training that is not, bit for bit; and what was seen survives a pause."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from diagnosis_toys import ToyStore, related, seen, trainer

from bench.balancing import BALANCING
from bench.models.sharing import SHARING
from bench.training.diagnosis import CLOSEST, LEAST_PROBES, MOST_PROBES, SHARE, due, interval, probe_cost

STORE = ToyStore(related, rows=600)
SHORT = {"optim.epochs": 2, "tower.dropout": 0.3}


def ending(every: int, **more: Any) -> list[torch.Tensor]:
    made = trainer(STORE, every, **SHORT | more)
    made.run_to()
    assert len(made.diagnosis.probes) == (3 if every == 2 else 0)
    state = made.state_dict()
    return [*state["model"].values(), *state["balancer"].values(), *state["random"].values(), made.course.losses]


def assert_same(**more: Any) -> None:
    for found, expected in zip(ending(2, **more), ending(1000, **more), strict=True):
        assert torch.equal(found, expected)


FITTING = [kind for kind in BALANCING if BALANCING[kind].unfit(STORE.schema) is None]


@pytest.mark.parametrize(
    ("balancing", "sharing"),
    [(FITTING[at % len(FITTING)], list(SHARING)[at % len(SHARING)]) for at in range(max(len(FITTING), len(SHARING)))],
)
def test_every_balancer_and_sharing_trains_the_same_while_looked_at(balancing: str, sharing: str) -> None:
    assert_same(**{"balancing.kind": balancing, "sharing.kind": sharing})


def test_bfloat16_trains_the_same_while_looked_at() -> None:
    assert_same(**{"optim.precision": "bf16", "sharing.kind": "ple"})


def test_a_batch_is_looked_at_before_its_own_step() -> None:
    made = trainer(STORE, every=2)
    losses = []
    compute = made.compute

    def kept(*batch: Any) -> Any:
        losses.append(compute(*batch).tolist())
        return torch.tensor(losses[-1])

    made.compute = kept
    made.run_to(600)
    (probe,) = made.diagnosis.probes
    assert probe["samples"] == 200
    assert probe["losses"] == pytest.approx(losses[1], rel=1e-5)


def test_a_training_that_pauses_sees_what_one_that_does_not_sees(tmp_path: Path) -> None:
    more = {"sharing.kind": "mmoe", **SHORT}
    whole = seen(trainer(STORE, 2, **more))
    first = trainer(STORE, 2, **more)
    first.run_to(600)
    first.save(tmp_path / "there")
    first.wait()
    second = trainer(STORE, 2, **more)
    second.load(tmp_path / "there")
    assert seen(second) == whole
    assert whole["probes"] == 3


def test_probes_are_few_and_planned_to_cost_little() -> None:
    for total, batch, tasks in product((1, 30, 400, 20_000), (16, 2048, 65536), (1, 2, 12)):
        every = interval(total, batch, tasks)
        probes = sum(due(step, every) for step in range(total))
        assert min(LEAST_PROBES, total // CLOSEST) <= probes <= MOST_PROBES
        assert probes <= LEAST_PROBES + 1 or probes * probe_cost(batch, tasks) <= 1.5 * SHARE * total
