"""What the tasks did to each other, found in MLflow by a query."""

from dataclasses import replace

import pytest

from bench.records import RungResult
from bench.tracking.diagnosis import numbers


def diagnosis(cosine=-0.3, tasks=("click", "like"), gate=("click", "like")):
    blocks = {"representation": cosine, "levels.0.shared": None, "all shared": cosine / 2}
    sizes = dict.fromkeys(blocks, 2.0)
    return {
        "every": 4,
        "rows": 512,
        "probes": 8,
        "tasks": {
            name: {"loss": 0.5, "loss_over_base": None, "weight": 1.0, "norm": sizes, "pull": sizes} for name in tasks
        },
        "pairs": [
            {
                "tasks": list(tasks),
                "blocks": {
                    block: {"cosine": value, "below_zero": value and 0.75, "probes": 8}
                    for block, value in blocks.items()
                },
            }
        ],
        "experts": {
            "gates": {
                "levels.0.gates": {
                    "of": list(gate),
                    "share": [[0.9, 0.1], [0.5, 0.5]],
                    "entropy": [0.469, 1.0],
                    "collapsed": [True, False],
                }
            },
            "units": {"levels.0.shared": {"dead": [0.25, 0.0], "silent": [False, True]}},
        },
        "course": {"click.auc": {"task": "click", "best_samples": 100, "last_samples": 200, "best": 0.8, "lost": 0.01}},
    }


def test_every_measurement_has_a_name_and_what_is_undefined_has_none():
    assert dict(numbers(diagnosis())) == {
        "diagnosis/probes": 8,
        "diagnosis/cosine/click-like/representation": -0.3,
        "diagnosis/cosine/click-like/all shared": -0.15,
        "diagnosis/below_zero/click-like/representation": 0.75,
        "diagnosis/below_zero/click-like/all shared": 0.75,
        **{f"diagnosis/loss/{task}": 0.5 for task in ("click", "like")},
        **{f"diagnosis/weight/{task}": 1.0 for task in ("click", "like")},
        **{
            f"diagnosis/{name}/{task}/{block}": 2.0
            for name in ("norm", "pull")
            for task in ("click", "like")
            for block in ("representation", "levels.0.shared", "all shared")
        },
        "diagnosis/best/click.auc": 0.8,
        "diagnosis/best_samples/click.auc": 100,
        "diagnosis/lost/click.auc": 0.01,
        "diagnosis/entropy/levels.0.gates/click": 0.469,
        "diagnosis/entropy/levels.0.gates/like": 1,
        "diagnosis/collapsed/levels.0.gates/click": 1,
        "diagnosis/collapsed/levels.0.gates/like": 0,
        "diagnosis/share/levels.0.gates/click/0": 0.9,
        "diagnosis/share/levels.0.gates/click/1": 0.1,
        "diagnosis/share/levels.0.gates/like/0": 0.5,
        "diagnosis/share/levels.0.gates/like/1": 0.5,
        "diagnosis/dead/levels.0.shared/0": 0.25,
        "diagnosis/dead/levels.0.shared/1": 0,
        "diagnosis/silent/levels.0.shared/0": 0,
        "diagnosis/silent/levels.0.shared/1": 1,
    }
    assert list(numbers({})) == []


def test_gates_for_all_tasks_are_told_apart():
    names = {name for name, _ in numbers(diagnosis(gate=("all tasks", "all tasks")))}
    assert {f"diagnosis/entropy/levels.0.gates/all tasks.{at}" for at in (0, 1)} <= names


@pytest.mark.slow
def test_trials_are_found_by_their_gradients_at_each_rung(tracker, client, asked, make_trial, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    parent = tracker.open_parent(**asked)
    parent.log_trial(replace(make_trial(0), diagnosis=diagnosis(-0.3)))
    parent.log_trial(replace(make_trial(1), diagnosis=diagnosis(0.4)))
    parent.log_trial(make_trial(2))
    rungs = [
        RungResult(100 * n, n, {"valid/click.auc": 0.7}, 1.0, diagnosis(cosine)) for n, cosine in ((1, 0.2), (2, -0.5))
    ]
    for reached in (1, 2):
        state = "completed" if reached == 2 else "waiting"
        parent.log_trial(replace(make_trial(3), state=state, rungs=tuple(rungs[:reached])))
    name = "diagnosis/cosine/click-like/all shared"
    condition = f"tags.`seesaw.run` = '{asked['run']}' and metrics.`{name}` < 0"
    found = mlflow.search_runs(experiment_names=["seesaw/quick"], filter_string=condition)
    assert set(found["tags.seesaw.trial"]) == {"0", "3"}
    (run,) = found["run_id"][found["tags.seesaw.trial"] == "3"]
    history = [(each.step, each.value) for each in client.get_metric_history(run, name)]
    assert history == [(100, pytest.approx(0.1)), (200, pytest.approx(-0.25))]
