"""A training that is looked at is the training that is not, bit for bit; and what was seen survives a pause."""

import pytest
import torch
from diagnosis_toys import ToyStore, related, seen, trainer

from bench.balancing import BALANCING
from bench.models.sharing import SHARING

STORE = ToyStore(related, rows=600)
SHORT = {"optim.epochs": 2, "tower.dropout": 0.3}


def ending(every, **more):
    made = trainer(STORE, every, **SHORT | more)
    made.run_to()
    assert len(made.diagnosis.probes) == (3 if every == 2 else 0)
    state = made.state_dict()
    return [*state["model"].values(), *state["balancer"].values(), *state["random"].values(), made.course.losses]


def assert_same(**more):
    for found, expected in zip(ending(2, **more), ending(1000, **more), strict=True):
        assert torch.equal(found, expected)


FITTING = [kind for kind in BALANCING if BALANCING[kind].unfit(STORE.schema) is None]


@pytest.mark.parametrize(
    ("balancing", "sharing"),
    [(FITTING[at % len(FITTING)], list(SHARING)[at % len(SHARING)]) for at in range(max(len(FITTING), len(SHARING)))],
)
def test_every_balancer_and_sharing_trains_the_same_while_looked_at(balancing, sharing):
    assert_same(**{"balancing.kind": balancing, "sharing.kind": sharing})


def test_a_training_that_pauses_sees_what_one_that_does_not_sees(tmp_path):
    more = {"sharing.kind": "mmoe", **SHORT}
    whole = seen(trainer(STORE, 2, **more))
    first = trainer(STORE, 2, **more)
    first.run_to(600)
    first.save(tmp_path / "there")
    second = trainer(STORE, 2, **more)
    second.load(tmp_path / "there")
    assert seen(second) == whole
    assert whole["probes"] == 3
