"""How a comparison sees a run's points: by method, static or on gradients."""

from __future__ import annotations

from types import SimpleNamespace

from bench.core.records import Point, TrialRecord
from bench.results.comparison.families import FamilyPoint
from bench.run.comparing import members_of, tries_of
from bench.run.current import Current

MMOE = {"sharing.kind": "mmoe"}


def seen(*configs: dict[str, object], baselines: tuple[Point, ...] = ()):
    """A run's part on two tasks, and its study with trials of these configurations."""
    trials = [
        TrialRecord(at, "completed", {}, config, "mmoe", {"valid/click.auc": 0.7, "valid/like.auc": 0.7})
        for at, config in enumerate(configs)
    ]
    study = SimpleNamespace(records=lambda: trials, baselines=lambda: list(baselines))
    tasks = (SimpleNamespace(name="click"), SimpleNamespace(name="like"))
    search = SimpleNamespace(search=SimpleNamespace(sampler="tpe"))
    run, dataset = SimpleNamespace(name="first", suite=search), SimpleNamespace(reference={})
    part = SimpleNamespace(run=run, key="shop", tasks=tasks, objectives=(), dataset=dataset, current=Current())
    return part, study


def of(member: FamilyPoint) -> tuple[str, tuple[float, ...] | None, bool]:
    return member.method, member.weights, member.gradient


def test_methods() -> None:
    part, study = seen(
        MMOE | {"balancing.kind": "upgrad"},
        MMOE | {"balancing.kind": "static", "balancing.static.weight.like": 3.0},
        {"sharing.kind": "shared_embeddings", "balancing.kind": "moco", "interaction.kind": "dcn_v2"},
        {"sharing.kind": "single_task", "balancing.kind": "static"},
        MMOE | {"balancing.kind": "rlw"},
        baselines=(
            Point("trees", {"max_leaf_nodes": 31}, "trees"),
            Point("ensemble", {"ensemble.sharing.kind": "single_task"}, "ensemble"),
            Point("static_weights", MMOE | {"balancing.kind": "static"}, "static_weights"),
        ),
    )
    assert [of(member) for member in members_of(part, study, ())] == [
        ("pcgrad = upgrad", None, True),
        ("static", (0.25, 0.75), False),
        ("moco", None, True),
        ("single_task", None, False),
        ("rlw", None, False),
        ("trees", None, False),
        ("ensemble", None, False),
        ("static", (0.5, 0.5), False),
    ]


def test_what_tuned_static_weights_is_told_from_what_tuned_trees() -> None:
    good = {"valid/click.auc": 0.7}
    tried = {"static_weights": good, "trees": {"valid/click.auc": 0.8}}
    tries = {Point(kind, MMOE, kind).training: metrics for kind, metrics in tried.items()}
    assert tries_of(SimpleNamespace(tries=tries)) == [good]
