"""What is logged of a record, before MLflow sees it."""

import math
from dataclasses import replace

import pytest
from found import found_in, history

from bench.core.records import RungResult
from bench.runs.reporting import on_trials
from bench.tracking.values import UNPLACED, volumes


def test_place_on_the_front(make_trial):
    records = [
        make_trial(0, 0.70, 0.80, "single_task"),
        make_trial(1, 0.72, 0.81, replicates=((0.71, 0.82), (0.73, 0.84))),
        make_trial(2, 0.70, 0.70, replicates=((0.70, 0.70), (0.71, 0.71))),
    ]
    found = found_in(records)
    placed = on_trials(found.frontier, found.pick)
    assert not any(math.isfinite(each.value) for each in placed[0][0])  # such values are not sent
    assert placed[0][1] == UNPLACED | {"seesaw.until": "none"}
    values = {point.name: point.value for point in placed[1][0]}
    assert math.isclose(values["test/like.auc.mean"], 0.83)
    assert math.isclose(values["confirm/click.auc.sd"], 0.02 / math.sqrt(2))
    assert 0.5 < (sure := values["front.p_nondominated"]) <= 1
    tags = {"front.on_front": "true", "front.rank": "0", "seesaw.picked": "true", "seesaw.until": "none"}
    assert placed[1][1] == tags | {"front.p_nondominated": f"{sure:.4f}"}
    assert (placed[2][1]["front.on_front"], placed[2][1]["front.rank"]) == ("false", "1")


@pytest.fixture
def records(make_trial):
    """Trials at two rungs; all first rungs are told before any second one, and take longer the earlier they began."""
    found = []
    for number in range(4):
        whole = make_trial(number, 0.6 + number / 100, 0.8 - number / 100)
        rungs = tuple(RungResult(100 * (1 + r), 4 * r + number, whole.metrics, 50.0 - 9 * number) for r in (0, 1))
        found.append(replace(whole, rungs=rungs, started=1.9e9 + number))
    return found


@pytest.mark.parametrize("by_rungs", [True, False])
def test_steps_and_times_never_fall(records, by_rungs):
    whole = history(by_rungs)
    whole.add(records, 8)
    points = volumes(whole)
    assert {point.name for point in points} == {"hypervolume.by_samples" if by_rungs else "hypervolume"}
    assert len(points) == (8 if by_rungs else 4)
    for values in ([point.step for point in points], [point.time for point in points]):
        assert values == sorted(values)


@pytest.mark.parametrize("by_rungs", [True, False])
def test_one_at_a_time_equals_all_at_once(records, by_rungs):
    later, live = history(by_rungs), history(by_rungs)
    later.add(records, 8)
    for told in range(1, 9):
        live.add([records[(told - 1) % 4]], told)
    assert live.rows == later.rows


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


@pytest.mark.slow
def test_trials_are_found_by_their_gradients_at_each_rung(send, tracker, client, asked, make_trial, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    found = replace(make_trial(0), diagnosis=diagnosis(-0.3)), replace(make_trial(1), diagnosis=diagnosis(0.4))
    parent = send(*found, make_trial(2))
    rungs = [
        RungResult(100 * n, n, {"valid/click.auc": 0.7}, 1.0, diagnosis(cosine)) for n, cosine in ((1, 0.2), (2, -0.5))
    ]
    for reached in (1, 2):
        state = "completed" if reached == 2 else "waiting"
        send(replace(make_trial(3), state=state, rungs=tuple(rungs[:reached])), section=parent)
    name = "diagnosis/cosine/click-like/all shared"
    condition = f"tags.`seesaw.run` = '{asked['identity']['run']}' and metrics.`{name}` < 0"
    found = mlflow.search_runs(experiment_names=["seesaw/quick"], filter_string=condition)
    assert set(found["tags.seesaw.trial"]) == {"0", "3"}
    (run,) = found["run_id"][found["tags.seesaw.trial"] == "3"]
    history = [(each.step, each.value) for each in client.get_metric_history(run, name)]
    assert history == [(100, pytest.approx(0.1)), (200, pytest.approx(-0.25))]
