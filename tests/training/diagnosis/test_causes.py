"""Trainings in which one cause is at work, by construction: it is the one that is named."""

import torch
from diagnosis_toys import ToyStore, apart, at_two_speeds, opposite, related, seen, trainer

from bench.results.diagnosis import causes


def named(diagnosis, task):
    return [cause.name for cause in causes(diagnosis, task)]


def test_opposite_labels_on_towers_alike_conflict():
    """At p = 1/2 and with one tower w for both, g_1 = (p - y) w and g_2 = (p - (1 - y)) w are opposite."""
    made = trainer(ToyStore(opposite), **{"optim.lr": 1e-6})
    with torch.no_grad():
        for parameter in made.model.towers.parameters():
            parameter[:] = 0.1 * parameter[0]  # small: both predict about 1/2
    found = seen(made)
    assert found["pairs"][0]["blocks"]["all shared"]["cosine"] < -0.9
    for task in ("one", "two"):
        assert named(found, task) == ["conflicting directions"]


def test_towers_that_may_differ_turn_opposite_labels_around():
    """Then both tasks ask the same of what is shared: opposite labels are no conflict by themselves."""
    found = seen(trainer(ToyStore(opposite)))
    assert found["pairs"][0]["blocks"]["all shared"]["cosine"] > 0.1
    assert not named(found, "one") + named(found, "two")


def test_two_unrelated_tasks_conflict_over_one_unit_and_not_over_many():
    """Where the sum of the losses is least, g_1 + g_2 = 0 on what is shared: there the cosine is -1."""
    narrow = {"sharing.shared_bottom.layers": "1", "sharing.shared_bottom.activation": "tanh", "tower.layers": ""}
    narrow |= {"optim.epochs": 20, "optim.lr": 2e-2}  # until there is little left to gain
    found = seen(trainer(ToyStore(apart), **narrow))
    for task in ("one", "two"):
        assert "conflicting directions" in named(found, task)
    wide = narrow | {"sharing.shared_bottom.layers": "16"}
    assert "conflicting directions" not in named(seen(trainer(ToyStore(apart), **wide)), "two")


def test_a_small_weight_is_unequal_scale_for_its_task_alone():
    found = seen(trainer(ToyStore(related), **{"balancing.static.weight.two": 0.01}))
    assert named(found, "two") == ["unequal scale"]
    assert named(found, "one") == []
    assert found["tasks"]["one"]["weight"] / found["tasks"]["two"]["weight"] == 100


def test_one_task_that_overfits_before_the_other_has_learned_is_unequal_speed():
    large = {"optim.epochs": 16, "optim.lr": 3e-3, "embedding.dim": 16, "sharing.shared_bottom.layers": "64-32"}
    found = seen(trainer(ToyStore(at_two_speeds, rows=3000, users=3000), every=40, **large))
    for task in ("one", "two"):
        assert named(found, task) == ["unequal speed"]
    assert found["course"]["one.auc"]["best_samples"] < found["course"]["two.auc"]["best_samples"] / 2


def test_nothing_is_named_where_tasks_are_related():
    found = seen(trainer(ToyStore(related)))
    assert not named(found, "one") + named(found, "two")
