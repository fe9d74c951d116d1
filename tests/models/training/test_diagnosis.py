"""Diagnoses of trainings: probes, which change nothing, their summary, and the causes that are
named.
"""

import copy
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.core.objectives import Objective
from bench.core.schema import Field, Schema, Task
from bench.data.batches import Batches
from bench.data.store import StoredSplit
from bench.ledger.diagnosis import causes
from bench.models import fused
from bench.models.balancing import BALANCING
from bench.models.balancing.base import GradientCombination, LossWeighting
from bench.models.sharing import SHARING
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.models.training.probe import shared_blocks
from bench.models.training.probes import course_of, summary

TASKS = (Task("one"), Task("two"))
OBJECTIVES = (Objective("one.auc", "maximize"), Objective("two.auc", "maximize"))


class ToyStore:
    """Ids and six numbers at random; labels (N, 2) that a case makes of the numbers (N, 6)."""

    path, key, fingerprint, weights = Path("memory"), "toy", "0", None

    def __init__(self, labels, rows=2000, users=20):
        fields = (Field("user", users), Field("item", 10))
        self.schema = Schema(
            fields, tuple(f"x{column}" for column in range(6)), TASKS, scenario="item"
        )
        self._splits = {}
        for number, name in enumerate(("train", "valid", "test")):
            rng = np.random.default_rng(number)
            fields = zip(self.schema.offsets, self.schema.fields, strict=True)
            ids = np.stack(
                [offset + rng.integers(0, field.cardinality, rows) for offset, field in fields],
                axis=1,
            )
            dense = rng.normal(size=(rows, 6)).astype(np.float32)
            values = np.asarray(labels(rng, dense), dtype=np.float32)
            self._splits[name] = StoredSplit(
                ids.astype(np.int32), dense, values, np.full(rows, -1, np.int32)
            )

    def split(self, name):
        return self._splits[name]


def trainer(store, period=4, **changes):
    """Probes before one in `period` of its steps."""
    dotted = {
        "optim.schedule": "constant",
        "optim.batch_size": 200,
        "optim.epochs": 6,
        "optim.patience": 100,
    }
    dotted |= {"optim.lr": 5e-3, "embedding.dim": 4, "tower.layers": "8", "optim.precision": "fp32"}
    if "sharing.kind" not in changes:
        dotted |= {"sharing.kind": "shared_bottom", "sharing.shared_bottom.layers": "16"}
    training = Trainer(store, TrialConfig.parse(dotted | changes), OBJECTIVES, seed=1)
    training.diagnosis.every = period
    return training


def seen(training):
    """The diagnosis of a training that is run to its end."""
    training.run_to()
    return training.diagnosis.summary(training.course.curve, OBJECTIVES)


def _noisy(signal, rng, noise=1.0):
    return signal + noise * rng.normal(size=len(signal)) > 0


def opposite(rng, dense):
    """Task two is task one turned around."""
    one = _noisy(dense[:, 0], rng)
    return np.stack([one, ~one], axis=1)


def related(rng, dense):
    """Two noisy looks at the same thing."""
    return np.stack([_noisy(dense[:, 0] + 0.5 * dense[:, 1], rng) for _ in range(2)], axis=1)


def apart(rng, dense):
    """Two things that have nothing to do with each other."""
    return np.stack([_noisy(dense[:, column], rng, 0.5) for column in (0, 1)], axis=1)


def at_two_speeds(rng, dense):
    """Task one is soon learned, and then the noise in its labels by heart; task two is a parity,
    learned late.
    """
    return np.stack([_noisy(dense[:, 4], rng, 1.5), (dense[:, :3] > 0).sum(axis=1) % 2], axis=1)


STORE = ToyStore(related)


def batch_of(rows=200):
    return next(iter(Batches(STORE.split("train")).in_order(rows)))


def probed(kind, **changes):
    training = trainer(STORE, **{"sharing.kind": kind} | changes)
    return training, *training.diagnosis._probe(batch_of())


def gradients(training, parameters, monkeypatch):
    """Each task's, of a copy in float64, whose layers run one by one in plain torch."""
    monkeypatch.setattr(fused, "fits", lambda *_: False)
    names = {id(parameter): name for name, parameter in training.model.named_parameters()}
    model = copy.deepcopy(training.model).double().eval()
    by_name = dict(model.named_parameters())
    batch = batch_of()
    e = model.embed(batch.ids).detach().requires_grad_()
    losses = model.losses(model.logits(e, batch.ids, batch.dense.double()), batch.labels.double())
    inputs = [e, *(by_name[names[id(parameter)]] for parameter in parameters)]
    return [
        list(
            torch.autograd.grad(
                loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        )
        for loss in losses
    ]


@pytest.mark.parametrize("kind", [kind for kind in SHARING if kind != "single_task"])
def test_cosines_and_norms_are_those_of_plain_autograd(kind, monkeypatch):
    training, measured, _ = probed(kind)
    blocks = shared_blocks(training.model)
    assert {id(p) for block in blocks.values() for p in block} == {
        id(p) for p in training.model.shared_parameters()
    }
    everything = [parameter for block in blocks.values() for parameter in block]
    of_tasks = gradients(training, everything, monkeypatch)
    start = 1
    parts = {"representation": slice(0, 1)} | ({"all shared": slice(1, None)} if blocks else {})
    for name, block in blocks.items():
        parts[name] = slice(start, start + len(block))
        start += len(block)
    assert measured["norms"].keys() == parts.keys() | {"table rows"}
    flats = {
        name: [torch.cat([g.flatten() for g in of_task[part]]) for of_task in of_tasks]
        for name, part in parts.items()
    }
    table, ids = training.model.embedding.weight, batch_of().ids
    flats["table rows"] = [  # through the table's lookup
        torch.autograd.grad(F.embedding(ids, table, padding_idx=0), table, of_task[0].float())[0]
        .double()
        .flatten()
        for of_task in of_tasks
    ]
    for name, flat in flats.items():
        assert measured["norms"][name] == pytest.approx(
            [float(vector.norm()) for vector in flat], rel=1e-3
        )
        for cosine, (first, second) in zip(
            measured["cosines"][name], combinations(flat, 2), strict=True
        ):
            assert cosine == pytest.approx(
                float(torch.cosine_similarity(first, second, dim=0)), abs=1e-3
            )


@pytest.mark.parametrize("top_k", [0, 2])
def test_gate_shares_are_the_mean_softmax(top_k):
    training, _, experts = probed("mmoe", **{"sharing.mmoe.top_k": top_k})
    model, batch = training.model, batch_of()
    with torch.no_grad():
        x = model._inputs(model.embed(batch.ids), batch.ids, batch.dense)[0]
        for task, weight in enumerate(model.sharing.gates.linear.weight):
            scores = (x @ weight.T).double()
            if top_k:
                threshold = scores.sort(1, descending=True).values[:, top_k - 1 : top_k]
                scores[scores < threshold] = -torch.inf
            expected = (scores.exp() / scores.exp().sum(1, keepdim=True)).mean(0)
            assert experts["gates"]["gates"][task] == pytest.approx(expected.tolist(), abs=1e-5)


def test_units_that_cannot_fire_are_dead_and_an_expert_of_them_is_silent():
    training = trainer(
        STORE, **{"sharing.kind": "mmoe", "sharing.mmoe.layers": "8", "sharing.mmoe.experts": 3}
    )
    (layer,) = training.model.sharing.experts.linears
    with torch.no_grad():
        layer.bias[:] = 20.0  # all fire ...
        layer.bias[0, :6] = -1e3
        layer.bias[2] = -1e3
    _, experts = training.diagnosis._probe(batch_of())
    assert experts["units"]["experts"] == {"dead": [0.75, 0.0, 1.0], "silent": [0.75, 0.0, 1.0]}
    training.diagnosis.experts = experts
    assert training.diagnosis.summary([], ())["experts"]["units"]["experts"]["silent"] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "kind", [kind for kind in BALANCING if BALANCING[kind].unfit(STORE.schema) is None]
)
def test_weights_are_those_that_the_balancer_would_give(kind):
    training, measured, _ = probed("shared_bottom", **{"balancing.kind": kind})
    balancer = training.step.balancer
    if isinstance(balancer, GradientCombination):
        assert measured["weights"] is None
        return
    assert len(measured["weights"]) == 2
    if isinstance(balancer, LossWeighting):
        losses = torch.tensor(measured["losses"], requires_grad=True)
        torch.random.set_rng_state(state := torch.random.get_rng_state())
        balancer(losses).backward()
        torch.random.set_rng_state(state)
        if kind != "rlw":  # drawn anew
            assert measured["weights"] == pytest.approx(losses.grad.tolist(), rel=1e-5)


SMALL = ToyStore(related, rows=600)
SHORT = {"optim.epochs": 2, "tower.dropout": 0.3}


def ending(period, **changes):
    training = trainer(SMALL, period, **SHORT | changes)
    training.run_to()
    assert len(training.diagnosis.probes) == (3 if period == 2 else 0)
    state = training.state_dict()
    return [
        *state["model"].values(),
        *state["balancer"].values(),
        *state["random"].values(),
        training.course.losses,
    ]


def assert_same(**changes):
    for actual, expected in zip(ending(2, **changes), ending(1000, **changes), strict=True):
        assert torch.equal(actual, expected)


FITTING = [kind for kind in BALANCING if BALANCING[kind].unfit(SMALL.schema) is None]


@pytest.mark.parametrize(
    ("balancing", "sharing"),
    [
        (FITTING[number % len(FITTING)], list(SHARING)[number % len(SHARING)])
        for number in range(max(len(FITTING), len(SHARING)))
    ],
)
def test_every_balancer_and_sharing_trains_the_same_while_looked_at(balancing, sharing):
    assert_same(**{"balancing.kind": balancing, "sharing.kind": sharing})


def test_a_training_that_pauses_sees_what_one_that_does_not_sees(tmp_path):
    changes = {"sharing.kind": "mmoe", **SHORT}
    whole = seen(trainer(SMALL, 2, **changes))
    first = trainer(SMALL, 2, **changes)
    first.run_to(600)
    first.save(tmp_path / "there")
    second = trainer(SMALL, 2, **changes)
    second.load(tmp_path / "there")
    assert seen(second) == whole
    assert whole["probes"] == 3


def probe(cosine, norms, weights=(1.0, 1.0)):
    record = {"losses": [0.5, 0.25], "weights": weights, "norms": {"representation": norms}}
    return record | {"cosines": {"representation": [cosine]}}


def test_means_shares_and_ratios():
    probes = [probe(-0.5, (1.0, 4.0)), probe(0.1, (4.0, 4.0), (1.0, 0.25)), probe(None, (2.0, 0.0))]
    result = summary(["one", "two"], [(0, 1)], [0.5, None], probes, {})
    assert result["pairs"][0]["blocks"]["representation"] == {
        "cosine": -0.2,
        "below_zero": 0.5,
        "probes": 2,
    }
    one, two = result["tasks"]["one"], result["tasks"]["two"]
    assert (one["loss"], one["loss_over_base"], two["loss_over_base"]) == (0.5, 1.0, None)
    # where a task has no gradient: left out
    assert (one["norm"]["representation"], two["norm"]["representation"]) == (2.0, 4.0)
    assert two["pull"]["representation"] == 2.0  # of 4 and 1


def test_entropy_is_that_of_the_shares_over_its_largest():
    shares = [[0.25, 0.25, 0.25, 0.25], [0.95, 0.05, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]
    gates = summary(["a", "b", "c"], [], [None] * 3, [], {"gates": {"gates": shares}})["experts"][
        "gates"
    ]["gates"]
    second = -(0.95 * math.log(0.95) + 0.05 * math.log(0.05)) / math.log(4)
    assert gates["entropy"] == pytest.approx([1.0, second, 0.5], rel=1e-5)
    assert gates["collapsed"] == [False, True, False]
    assert gates["of"] == ["a", "b", "c"]


def test_a_course_tells_where_a_task_was_best_and_what_it_lost_since():
    values = [(0.7, 0.5), (0.8, 0.6), (0.8, math.nan), (0.75, 0.7)]
    curve = [
        {"samples": 100.0 * n, "valid/one.auc": a, "valid/two.auc": b}
        for n, (a, b) in enumerate(values, 1)
    ]
    course = course_of(["one", "two"], curve, OBJECTIVES)
    assert course["one.auc"] == {
        "task": "one",
        "best_samples": 200,
        "last_samples": 400,
        "best": 0.8,
        "lost": 0.05,
    }
    assert (course["two.auc"]["best_samples"], course["two.auc"]["lost"]) == (400, 0.0)
    falling = course_of(
        ["one"], [{"samples": 1.0, "valid/one.ne": 0.9}], [Objective("one.ne", "minimize")]
    )
    assert falling["one.ne"]["lost"] == 0.0
    assert course_of(["one"], curve, [Objective("cost/parameters", "minimize")]) == {}


def named(diagnosis, task):
    return [cause.name for cause in causes(diagnosis, task)]


def test_opposite_labels_on_towers_alike_conflict():
    """At p = 1/2 and with one tower w for both, g_1 = (p - y) w and g_2 = (p - (1 - y)) w are
    opposite.
    """
    training = trainer(ToyStore(opposite), **{"optim.lr": 1e-6})
    with torch.no_grad():
        for parameter in training.model.towers.parameters():
            parameter[:] = 0.1 * parameter[0]  # small: both predict about 1/2
    diagnosis = seen(training)
    assert diagnosis["pairs"][0]["blocks"]["all shared"]["cosine"] < -0.9
    for task in ("one", "two"):
        assert named(diagnosis, task) == ["conflicting directions"]


def test_towers_that_may_differ_turn_opposite_labels_around():
    """Then both tasks ask the same of what is shared: opposite labels are no conflict by
    themselves.
    """
    diagnosis = seen(trainer(ToyStore(opposite)))
    assert diagnosis["pairs"][0]["blocks"]["all shared"]["cosine"] > 0.1
    assert not named(diagnosis, "one") + named(diagnosis, "two")


def test_two_unrelated_tasks_conflict_over_one_unit_and_not_over_many():
    """Where the sum of the losses is least, g_1 + g_2 = 0 on what is shared: there the cosine is
    -1.
    """
    narrow = {
        "sharing.shared_bottom.layers": "1",
        "sharing.shared_bottom.activation": "tanh",
        "tower.layers": "",
    }
    narrow |= {"optim.epochs": 20, "optim.lr": 2e-2}  # until there is little left to gain
    diagnosis = seen(trainer(ToyStore(apart), **narrow))
    for task in ("one", "two"):
        assert "conflicting directions" in named(diagnosis, task)
    wide = narrow | {"sharing.shared_bottom.layers": "16"}
    assert "conflicting directions" not in named(seen(trainer(ToyStore(apart), **wide)), "two")


def test_a_small_weight_is_unequal_scale_for_its_task_alone():
    diagnosis = seen(trainer(ToyStore(related), **{"balancing.static.weight.two": 0.01}))
    assert named(diagnosis, "two") == ["unequal scale"]
    assert named(diagnosis, "one") == []
    assert diagnosis["tasks"]["one"]["weight"] / diagnosis["tasks"]["two"]["weight"] == 100


def test_one_task_that_overfits_before_the_other_has_learned_is_unequal_speed():
    large = {
        "optim.epochs": 16,
        "optim.lr": 3e-3,
        "embedding.dim": 16,
        "sharing.shared_bottom.layers": "64-32",
    }
    diagnosis = seen(trainer(ToyStore(at_two_speeds, rows=3000, users=3000), period=40, **large))
    for task in ("one", "two"):
        assert named(diagnosis, task) == ["unequal speed"]
    assert (
        diagnosis["course"]["one.auc"]["best_samples"]
        < diagnosis["course"]["two.auc"]["best_samples"] / 2
    )


def test_nothing_is_named_where_tasks_are_related():
    diagnosis = seen(trainer(ToyStore(related)))
    assert not named(diagnosis, "one") + named(diagnosis, "two")
