"""A driver's log is in MLflow: once, nested, with steps that never fall; and fronts are read back
over several runs.
"""

import math
from dataclasses import replace

import pandas as pd
import pytest
from contents import content, everything_once
from found import OBJECTIVES, found_in, history

from bench.app.tracking.mlflow_store import StoredRun
from bench.app.tracking.reading import frontier_of
from bench.app.tracking.target_state import MetricValue, inward, outward, volumes
from bench.core.records import RungResult

EXPERIMENT = "seesaw/quick"


@pytest.fixture
def find(client):
    """Runs of the experiment that meet a condition, by name."""

    def search(condition):
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        return {
            run.data.tags["mlflow.runName"]: run
            for run in client.search_runs([experiment], condition)
        }

    return search


@pytest.fixture
def below(find):
    """Runs right below a run."""
    return lambda run_id: find(f"tags.mlflow.parentRunId = '{run_id}'")


def values(client, run_id, metric):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


def test_parent_says_what_it_is(send, client, asked):
    parent = send()
    run = client.get_run(parent.place[1])
    assert run.info.status == "RUNNING"
    assert run.data.tags["mlflow.runName"] == f"{asked['identity']['run']} census-income"
    identity = {
        name.removeprefix("seesaw."): value
        for name, value in run.data.tags.items()
        if name.startswith("seesaw.")
    }
    assert identity == {"kind": "parent", **asked["identity"], "versions": "torch 2.13"}
    send(section=parent, ending="FINISHED")
    assert client.get_run(parent.place[1]).info.status == "FINISHED"


def test_trial_is_nested_with_its_parameters_curve_and_times(send, client, below, make_trial):
    """Its name, tags and metrics are those of `tests/golden`."""
    run = below(send(make_trial(12)).place[1])["mmoe trial 12"]
    assert (run.info.status, run.info.end_time - run.info.start_time) == ("FINISHED", 12_500)
    assert run.data.params == {name: str(value) for name, value in make_trial(12).config.items()}
    assert values(client, run.info.run_id, "curve/loss/click") == [(100, 0.5), (200, 0.4)]


def test_replicates_are_nested_under_their_trial_as_they_come(send, below, make_trial):
    parent = None
    for runs in ((), ((0.71, 0.81),), ((0.71, 0.81), (0.72, 0.82))):
        parent = send(make_trial(0, replicates=runs), section=parent)
    (child,) = below(parent.place[1]).values()
    nested = below(child.info.run_id)
    assert set(nested) == {"mmoe trial 0 · seed 1", "mmoe trial 0 · seed 2"}
    assert (parent.sent["trials"], parent.sent["replicates"]) == (1, 2)
    second = nested["mmoe trial 0 · seed 2"]
    assert second.data.metrics["test/like.auc"] == 0.82
    assert second.data.tags["seesaw.seed"] == "42"


def test_logging_again_after_a_resume_changes_nothing(
    send, tracker, client, asked, tmp_path, make_trial, make_failed
):
    records = [make_trial(0, replicates=((0.71, 0.81),)), make_failed(1)]
    run = asked["identity"]["run"]
    place = send(*records, ending="FINISHED").place
    before = content(tracker.uri, run, tmp_path)
    everything_once(before, records)
    assert send(*records, ending="FINISHED").place == place
    assert content(tracker.uri, run, tmp_path) == before
    assert values(client, place[1], "hypervolume") == [
        (0, pytest.approx(0.06)),
        (1, pytest.approx(0.06)),
    ]


def test_a_run_cut_off_half_written_is_made_whole(send, client, below, make_trial, monkeypatch):
    parent = send()
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_terminated", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            send(make_trial(0))
    (half,) = below(parent.place[1]).values()
    send(make_trial(0))
    (whole,) = below(parent.place[1]).values()
    assert whole.info.run_id == half.info.run_id
    assert whole.info.status == "FINISHED"
    assert values(client, whole.info.run_id, "valid/click.auc") == [(0, 0.7)]


def _cut_off(*_args, **_kwargs):
    raise KeyboardInterrupt


def test_of_two_parents_of_one_run_the_older_is_kept(send, tracker, client, make_trial):
    """Of a request whose answer was late."""
    first = send(make_trial(0)).place
    run = client.get_run(first[1]).data
    StoredRun.create(
        tracker,
        first[0],
        "twin",
        {name: value for name, value in run.tags.items() if "mlflow" not in name},
    )
    assert send(make_trial(0), make_trial(1)).place == first


def test_of_two_runs_of_one_trial_the_one_that_knows_more_is_kept(send, tracker, below, make_trial):
    """Of a request whose answer was late, too."""
    experiment, parent = send(make_trial(0)).place
    (run,) = below(parent).values()
    tags = {name: value for name, value in run.data.tags.items() if name.startswith("seesaw.")}
    StoredRun.create(tracker, experiment, "twin", tags | {"mlflow.parentRunId": parent})
    assert len(below(parent)) == 2
    send(make_trial(0), make_trial(1))
    assert set(below(parent)) == {run.data.tags["mlflow.runName"], "mmoe trial 1"}


@pytest.mark.parametrize("changes", [{"dataset": "kuairand-pure"}, {"created": "x"}])
def test_another_run_is_another_parent(send, changes):
    assert send().place != send(**changes).place


@pytest.fixture
def records(make_trial, make_failed):
    shared = [
        make_trial(number, *areas)
        for number, areas in enumerate(((0.72, 0.82), (0.74, 0.81), (0.70, 0.79)), start=1)
    ]
    return [make_trial(0, 0.70, 0.80, "single_task"), *shared, make_failed(4)]


@pytest.fixture
def page(tmp_path):
    """In a folder that has cells as well."""
    path = tmp_path / "report.html"
    path.write_text("<!doctype html><title>front</title>")
    return path


def test_parent_has_tables_pick_and_page(
    send, tracker, client, records, page, tmp_path, monkeypatch
):
    result = found_in(records, folder=page.parent, picture="<svg/>")
    result.decision.frontier.long.to_parquet(page.parent / "cells.parquet")
    run_id = send(*records, front=result).place[1]
    run = client.get_run(run_id)
    assert run.data.metrics["front.hypervolume"] == result.decision.frontier.hypervolume
    assert run.data.metrics["front.size"] == 2
    assert run.data.tags["seesaw.picked"] == str(result.decision.pick.trial)
    assert run.data.tags["seesaw.pick_reason"] == result.decision.pick.reason

    names = {artifact.path for artifact in client.list_artifacts(run_id)}
    assert names == {"frontier.json", "front.svg", "picked.json", "report.html", "cells.parquet"}
    (tmp_path / "got").mkdir()
    got = {name: client.download_artifacts(run_id, name, str(tmp_path / "got")) for name in names}
    pd.testing.assert_frame_equal(
        pd.read_parquet(got["cells.parquet"]), result.decision.frontier.long
    )
    with open(got["report.html"]) as file:
        assert file.read() == page.read_text()

    # load_table looks there, whatever the client's address
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    # as the web page shows it
    table = client.load_table(run.info.experiment_id, "frontier.json", [run_id])
    assert table["trial"].tolist() == [1, 2, 0, 3]  # the front first
    assert table["on_front"].tolist() == [True, True, False, False]


def test_names_that_mlflow_takes():
    there = {
        "valid/like.recall@10%": "valid/like.recall_at_10_percent",
        "buy_at_5.ndcg@5": "buy_at_5.ndcg_at_5",
        "buy.map@10": "buy.map_at_10",
        "buy.mrr": "buy.mrr",
        "chosen/age.below7.5@10%.gain": "chosen/age.below7.5_at_10_percent.gain",
        "confirm/watch.value@2.5%.mean": "confirm/watch.value_at_2.5_percent.mean",
        "cost/latency_ms": "what it costs/latency_ms",
        "valid/click.auc": "valid/click.auc",
    }
    for name, written in there.items():
        assert outward(name) == written
        assert inward(written) == name
    assert sorted(there.values())[-1] == "what it costs/latency_ms"  # the last of the charts


def test_only_what_is_missing_is_sent_also_beyond_the_limits_of_a_batch(tracker, send, monkeypatch):
    from mlflow import MlflowClient

    sizes, log = [], MlflowClient.log_batch

    def logged(self, run, *entries):
        sizes.append([len(entry) for entry in entries])
        log(self, run, *entries)

    experiment, run_id = send().place
    node = StoredRun.create(tracker, experiment, "large", {"of": run_id})
    monkeypatch.setattr(MlflowClient, "log_batch", logged)
    points = [MetricValue(f"m{number % 50}", number, number) for number in range(1700)]
    texts = {f"p{number}": "x" for number in range(250)}
    assert node.send(points[:900], texts, texts) == 900 + 500
    assert sizes == [[900, 250, 250]]
    (again,) = StoredRun.search(tracker, experiment, f"tags.of = '{run_id}'")
    sizes.clear()
    assert again.send(points[:900], texts, texts) == 0
    assert again.send(points, texts, texts | {"p0": "y"}) == 801
    assert sizes == [[800, 0, 1]]
    assert again.send([MetricValue("m49", -1.0, 1699)]) == 1  # another value of the last step
    assert again.send([MetricValue("m49", -1.0, 1699), MetricValue("m49", 3.0, 1649)]) == 0


@pytest.fixture
def at_two_rungs(make_trial):
    """Trials at two rungs; all first rungs are told before any second one, and take longer the
    earlier they began.
    """
    trials = []
    for number in range(4):
        whole = make_trial(number, 0.6 + number / 100, 0.8 - number / 100)
        rungs = tuple(
            RungResult(100 * (1 + r), 4 * r + number, whole.metrics, 50.0 - 9 * number)
            for r in (0, 1)
        )
        trials.append(replace(whole, rungs=rungs, started=1.9e9 + number))
    return trials


@pytest.mark.parametrize("by_rungs", [True, False])
def test_steps_and_times_never_fall_and_depend_on_no_batch(at_two_rungs, by_rungs):
    whole = history(by_rungs)
    whole.add(at_two_rungs, 8)
    points = volumes(whole)
    assert {point.name for point in points} == {
        "hypervolume.by_samples" if by_rungs else "hypervolume"
    }
    assert len(points) == (8 if by_rungs else 4)
    for values in ([point.step for point in points], [point.time for point in points]):
        assert values == sorted(values)
    live = history(by_rungs)
    for count in range(1, 9):
        live.add([at_two_rungs[(count - 1) % 4]], count)
    assert live.rows == whole.rows  # one at a time as all at once


@pytest.fixture
def log(send, asked):
    """Logs records as a run of the test's own experiment."""

    def logged(records, run, objectives=OBJECTIVES, **changes):
        result = found_in(records, objectives)
        send(
            *records,
            front=result,
            experiment=asked["identity"]["run"],
            run=run,
            objectives=objectives,
            **changes,
        )
        return result.decision.frontier, result.decision.pick

    return logged


@pytest.fixture
def read(tracker, asked):
    def found():
        return frontier_of(asked["identity"]["run"], tracker.uri)

    return found


@pytest.fixture
def confirmed(make_trial):
    return [
        make_trial(0),
        make_trial(1, 0.71, 0.80),
        make_trial(2, 0.74, 0.81, replicates=((0.73, 0.80), (0.75, 0.82))),
        make_trial(3, 0.70, 0.79, replicates=((0.70, 0.83), (0.71, 0.84))),
    ]


def test_the_front_of_one_run_is_its_own(log, read, confirmed):
    front, chosen = log(confirmed, "a")
    table, expected = read(), front.wide[front.front]
    assert table["trial"].tolist() == expected["trial"].tolist() == [2, 3]
    assert table["picked"].tolist() == [chosen.trial == 2, chosen.trial == 3]
    for key in front.keys:
        assert table[f"{key}.mean"].tolist() == pytest.approx(expected[key].tolist())
    assert table["front.p_nondominated"].tolist() == pytest.approx(
        expected["p_nondominated"].tolist()
    )
    assert table["sharing.kind"].tolist() == ["mmoe", "mmoe"]
    assert math.isclose(table["cost/parameters"].iloc[0], 1002)
    assert table.attrs["hypervolume"] == {
        ("census-income", "f00d"): pytest.approx(front.hypervolume)
    }
    assert table.attrs["notes"] == []


def test_runs_on_the_same_data_are_merged(log, read, confirmed, make_trial):
    front, _ = log(confirmed, "a")
    log([make_trial(0, 0.78, 0.81, replicates=((0.77, 0.815), (0.76, 0.815)))], "b", seed="8")
    table = read()
    # b's dominates a's second
    assert list(zip(table["run"], table["trial"], strict=True)) == [
        ("a", 3),
        ("b", 0),
    ]
    assert table.attrs["hypervolume"]["census-income", "f00d"] > front.hypervolume


def test_other_data_are_not_merged_and_a_sentence_says_so(log, read, confirmed, make_trial):
    log(confirmed, "a")
    log([make_trial(0, 0.9, 0.9, replicates=((0.9, 0.9), (0.9, 0.9)))], "b", fingerprint="beef")
    table = read()
    assert set(zip(table["run"], table["fingerprint"], strict=True)) == {
        ("a", "f00d"),
        ("b", "beef"),
    }
    sentence = "census-income: not merged, since the data were prepared differently ({}; {})"
    runs = "beef: b", "f00d: a"
    assert table.attrs["notes"] in ([sentence.format(*runs)], [sentence.format(*runs[::-1])])
    log([make_trial(0)], "c", OBJECTIVES[:1], dataset="other")
    log([make_trial(0)], "d", dataset="other")
    assert (
        "other: not merged, since their objectives differ (f00d: c; f00d: d)"
        in read().attrs["notes"]
    )
