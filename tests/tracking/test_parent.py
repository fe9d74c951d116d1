"""A driver's log is in MLflow: once, nested, and found by a query."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from bench.frontier.choices import head_choices
from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.objectives import Objective
from bench.tracking import Found
from bench.tracking.front import log_front
from bench.tracking.runs import Parent, experiment_name
from bench.tracking.values import Point, inward, outward

EXPERIMENT = "seesaw/quick"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.fixture
def find(client):
    """Runs of the experiment that meet a condition, by name."""

    def search(condition):
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        return {run.data.tags["mlflow.runName"]: run for run in client.search_runs([experiment], condition)}

    return search


@pytest.fixture
def below(find):
    """Runs right below a run."""
    return lambda run_id: find(f"tags.mlflow.parentRunId = '{run_id}'")


def values(client, run_id, metric):
    return [(each.step, each.value) for each in client.get_metric_history(run_id, metric)]


def test_parent_says_what_it_is(tracker, client, asked):
    parent = Parent(tracker, **asked)
    run = client.get_run(parent.node.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.tags["mlflow.runName"] == f"{asked['run']} census-income small"
    told = {name.removeprefix("seesaw."): value for name, value in run.data.tags.items() if name.startswith("seesaw.")}
    assert told == {
        "kind": "parent",
        "run": asked["run"],
        "suite": "quick",
        "dataset": "census-income",
        "space": "small",
        "fingerprint": "f00d",
        "seed": "7",
        "created": "2030-01-01",
        "versions": "torch 2.13",
    }
    parent.node.set_status("FINISHED")
    assert client.get_run(parent.node.run_id).info.status == "FINISHED"


def test_trial_is_nested_with_names_curve_and_times(tracker, client, asked, below, make_trial):
    parent = Parent(tracker, **asked)
    parent.log_trial(make_trial(12))
    run = below(parent.node.run_id)["mmoe trial 12"]
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 12_500
    assert run.data.params == {
        "sharing.kind": "mmoe",
        "funnel.kind": "independent",
        "balancing.kind": "static",
        "optimizer.lr": "0.01",
    }
    assert run.data.metrics["valid/click.auc"] == 0.7
    assert run.data.metrics["what it costs/parameters"] == 1012
    assert values(client, run.info.run_id, "curve/loss/click") == [(100, 0.5), (200, 0.4)]
    assert run.data.tags["seesaw.trial"] == "12"
    assert run.data.tags["seesaw.run"] == asked["run"]


def test_failed_trial_has_its_reason(tracker, asked, below, make_failed):
    parent = Parent(tracker, **asked)
    parent.log_trial(make_failed(3))
    run = below(parent.node.run_id)["ple trial 3"]
    assert run.info.status == "FAILED"
    assert run.data.tags["seesaw.failure"] == "the loss became NaN after 300 samples"


def test_a_reason_as_long_as_it_likes_is_cut(tracker, client, asked, make_failed):
    parent = Parent(tracker, **asked)
    for _ in range(2):  # the second changes nothing
        parent.log_trial(make_failed(3, "x" * 9000))
    assert parent.sent["trials"] == 1
    assert client.get_run(parent.trials[3].run_id).data.tags["seesaw.failure"] == "x" * 5000


def test_unfinished_trials_are_not_logged(tracker, asked, below, make_trial):
    parent = Parent(tracker, **asked)
    parent.log_trial(replace(make_trial(0), state="running"))
    parent.log_trial(replace(make_trial(1), state="waiting"))
    assert below(parent.node.run_id) == {}


def test_replicates_are_nested_under_their_trial_as_they_come(tracker, asked, below, make_trial):
    parent = Parent(tracker, **asked)
    for runs in ((), ((0.71, 0.81),), ((0.71, 0.81), (0.72, 0.82))):
        parent.log_trial(make_trial(0, replicates=runs))
    (child,) = below(parent.node.run_id).values()
    nested = below(child.info.run_id)
    assert set(nested) == {"mmoe trial 0 · seed 1", "mmoe trial 0 · seed 2"}
    second = nested["mmoe trial 0 · seed 2"]
    assert second.data.metrics["test/like.auc"] == 0.82
    assert second.data.tags["seesaw.seed"] == "42"


def test_logging_again_after_a_resume_changes_nothing(tracker, client, asked, below, find, make_trial, make_failed):
    records = [make_trial(0, replicates=((0.71, 0.81),)), make_failed(1)]

    def log():
        parent = Parent(tracker, **asked)
        for record in records:
            parent.log_trial(record)
            parent.node.send([Point("hypervolume", 0.06, record.number)])
        parent.node.set_status("FINISHED")
        return parent.node.run_id

    def everything(run_id):
        runs = {**below(run_id), **find(f"tags.`seesaw.parent` = '{run_id}'")}
        histories = {
            (name, metric): values(client, run.info.run_id, metric)
            for name, run in runs.items()
            for metric in run.data.metrics
        }
        return {name: (run.info.run_id, run.data.tags, run.data.params) for name, run in runs.items()}, histories

    first = log()
    before = everything(first)
    assert log() == first
    assert everything(first) == before
    assert len(before[0]) == 3
    assert values(client, first, "hypervolume") == [(0, 0.06), (1, 0.06)]
    assert list(find(f"tags.`seesaw.run` = '{asked['run']}' and tags.`seesaw.kind` = 'parent'")) == [
        f"{asked['run']} census-income small"
    ]


def test_resume_goes_on_and_is_running(tracker, client, asked, below, make_trial):
    first = Parent(tracker, **asked)
    first.log_trial(make_trial(0))
    first.node.set_status("KILLED")
    second = Parent(tracker, **asked)
    assert client.get_run(second.node.run_id).info.status == "RUNNING"
    second.log_trial(make_trial(1))
    assert set(below(first.node.run_id)) == {"mmoe trial 0", "mmoe trial 1"}


def test_a_run_cut_off_half_written_is_made_whole(tracker, client, asked, below, make_trial, monkeypatch):
    parent = Parent(tracker, **asked)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_terminated", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            parent.log_trial(make_trial(0))
    (half,) = below(parent.node.run_id).values()
    Parent(tracker, **asked).log_trial(make_trial(0))
    (whole,) = below(parent.node.run_id).values()
    assert whole.info.run_id == half.info.run_id
    assert whole.info.status == "FINISHED"
    assert values(client, whole.info.run_id, "valid/click.auc") == [(0, 0.7)]


def _cut_off(*_args, **_kwargs):
    raise KeyboardInterrupt


def test_a_trial_tried_again_replaces_its_failure(tracker, asked, below, make_trial, make_failed):
    parent = Parent(tracker, **asked)
    parent.log_trial(make_failed(0))
    parent.log_trial(make_trial(0))
    assert set(below(parent.node.run_id)) == {"mmoe trial 0"}


@pytest.mark.parametrize(
    "other", [{"dataset": "kuairand-pure"}, {"space": "large"}, {"seed": 8}, {"fingerprint": "beef"}, {"created": "x"}]
)
def test_another_run_is_another_parent(tracker, asked, other):
    first, second = (Parent(tracker, **each) for each in (asked, asked | other))
    assert first.node.run_id != second.node.run_id


def test_other_versions_are_the_same_run(tracker, client, asked):
    first = Parent(tracker, **asked)
    second = Parent(tracker, **(asked | {"tags": {"seesaw.versions": "torch 2.14"}}))
    assert first.node.run_id == second.node.run_id
    assert client.get_run(first.node.run_id).data.tags["seesaw.versions"] == "torch 2.14"


@pytest.fixture
def records(make_trial, make_failed):
    return [
        make_trial(0, 0.70, 0.80, "single_task"),
        make_trial(1, 0.72, 0.82),
        make_trial(2, 0.74, 0.81),
        make_trial(3, 0.70, 0.79),
        make_failed(4),
    ]


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("<!doctype html><title>front</title>")
    return path


def log_all(tracker, asked, records, objectives, page):
    parent = Parent(tracker, **asked)
    for record in records:
        parent.log_trial(record)
    front = frontier(records, objectives)
    chosen = pick(head_choices(front.points, objectives), front.points, objectives, Policy())
    log_front(parent, Found(front, chosen, page, "<svg/>"))
    parent.node.set_status("FINISHED")
    return parent.node.run_id, front, chosen


def test_the_front_is_found_by_a_query(tracker, asked, find, records, objectives, page):
    log_all(tracker, asked, records, objectives, page)
    mine = f" and tags.`seesaw.run` = '{asked['run']}'"
    assert set(find("tags.`front.on_front` = 'true'" + mine)) == {"mmoe trial 1", "mmoe trial 2"}
    assert set(find("tags.`front.on_front` = 'false'" + mine)) == {"single_task trial 0", "mmoe trial 3", "ple trial 4"}
    assert set(find("tags.`front.rank` = '1'" + mine)) == {"single_task trial 0"}
    assert len(find("tags.`seesaw.picked` = 'true'" + mine)) == 1


def test_parent_has_table_pick_and_page(tracker, client, asked, records, objectives, page, tmp_path, monkeypatch):
    run_id, front, chosen = log_all(tracker, asked, records, objectives, page)
    run = client.get_run(run_id)
    assert run.data.metrics["front.hypervolume"] == front.hypervolume
    assert run.data.metrics["front.size"] == 2
    assert run.data.tags["seesaw.picked"] == str(chosen.trial)
    assert run.data.tags["seesaw.pick_reason"] == chosen.reason

    names = {each.path for each in client.list_artifacts(run_id)}
    assert names == {"frontier.json", "front.svg", "picked.json", "report.html"}
    got = {name: client.download_artifacts(run_id, name, str(tmp_path)) for name in names}
    with open(got["report.html"]) as file:
        assert file.read() == page.read_text()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)  # load_table looks there, whatever the client's address
    table = client.load_table(run.info.experiment_id, "frontier.json", [run_id])  # as the web page shows it
    assert table["trial"].tolist() == [1, 2, 0, 3]  # the front first
    assert table["on_front"].tolist() == [True, True, False, False]


def test_a_front_logged_again_replaces_the_old_one(tracker, client, asked, find, records, objectives, page, make_trial):
    run_id, _, _ = log_all(tracker, asked, records, objectives, page)
    again, _, _ = log_all(tracker, asked, [*records, make_trial(5, 0.9, 0.9)], objectives, page)
    assert again == run_id
    mine = f"tags.`seesaw.run` = '{asked['run']}' and "
    assert set(find(mine + "tags.`front.on_front` = 'true'")) == {"mmoe trial 5"}
    assert set(find(mine + "tags.`seesaw.picked` = 'true'")) == {"mmoe trial 5"}


def test_without_a_pick(tracker, client, asked, records, objectives, page):
    parent = Parent(tracker, **asked)
    parent.log_trial(records[1])
    log_front(parent, Found(frontier(records, objectives)))
    assert client.get_run(parent.node.run_id).data.tags["seesaw.picked"] == "none"
    assert "picked.json" not in {each.path for each in client.list_artifacts(parent.node.run_id)}


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        ("quick", "seesaw/quick"),
        ("reports/quick/suite.toml", "seesaw/quick"),
        ("reports/quick", "seesaw/quick"),
        ("mine.toml", "seesaw/mine"),
    ],
)
def test_an_experiment_is_a_suite(suite, name):
    assert experiment_name(suite) == name


def test_what_was_asked_for_and_the_data_are_found(tracker, client, asked):
    asked |= {"fingerprint": "cafe"}  # MLflow keeps the first source of data of one name and digest
    more = {"params": {"sampler": "tpe"}, "tags": {"seesaw.budget": "40 trials"}, "source": "card.toml"}
    for tags in ({"seesaw.budget": "40 trials"}, {"seesaw.budget": "80 trials"}):  # raised by `resume`
        parent = Parent(tracker, **(asked | more | {"tags": tags}))
    run = client.get_run(parent.node.run_id)
    assert run.data.params == {
        "suite": "quick",
        "dataset": "census-income",
        "space": "small",
        "seed": "7",
        "fingerprint": "cafe",
        "sampler": "tpe",
    }
    assert run.data.tags["seesaw.budget"] == "80 trials"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest, data.dataset.source) == ("census-income", "cafe", "card.toml")


@pytest.fixture
def served():
    """A served front: the current point, a pick that gains, boosted trees, and a point that is dominated."""
    rows = [
        ("current", "current", 1.0, 0.0, False, 0.0, 0.0),
        ("1", "trial", 0.8, 0.2, True, -0.01, 0.12),
        ("trees", "baseline", 0.7, 0.3, True, 0.02, 0.05),
        ("2", "trial", 0.5, 0.5, False, -0.2, 0.01),
    ]
    table = pd.DataFrame(
        {
            "id": at,
            "point": point,
            "name": f"trial {point}" if role == "trial" else point,
            "architecture": "mmoe",
            "role": role,
            "kind": "power",
            "weights": {"click": click, "like": like},
            "on_front": on_front,
            "p_nondominated": 0.5,
            **{f"test/{name}": 0.2 for name in ("click.recall@10%", "like.recall@10%")},
            **{f"test/click.recall@10%.gain{end}": gains for end in ("", ".low", ".high")},
            **{f"test/like.recall@10%.gain{end}": gained for end in ("", ".low", ".high")},
        }
        for at, (point, role, click, like, on_front, gains, gained) in enumerate(rows)
    )
    outcomes = tuple(Objective(f"{task}.recall@10%", "maximize") for task in ("click", "like"))
    return SimpleNamespace(outcomes=outcomes, table=table)


def test_the_decision_comes_first(tracker, client, asked, records, objectives, page, served, tmp_path):
    front = frontier(records, objectives)
    chosen = replace(
        pick(head_choices(front.points, objectives), front.points, objectives, Policy()),
        point="1",
        kind="power",
        weights={"click": 0.8, "like": 0.2},
        outcomes={"click.recall@10%": 0.16, "like.recall@10%": 0.46},
    )
    parent = Parent(tracker, **asked)
    sentence = "Trade: like.recall@10% +12% for click.recall@10% -1%."
    told = Found(front, chosen, page, SVG, {"kind": "trade", "sentence": sentence}, served, ("seesaw deploy shop",))
    log_front(parent, told)
    run = client.get_run(parent.node.run_id)
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"**{sentence}**")
    assert "seesaw deploy shop" in note
    assert f"get-artifact?path=front.svg&run_uuid={parent.node.run_id}" in note
    assert run.data.tags["seesaw.verdict"] == "trade"
    assert run.data.metrics["chosen/like.recall_at_10_percent"] == 0.2  # on test, like its gain
    assert run.data.metrics["chosen/like.recall_at_10_percent.gain"] == 0.12
    first = json.loads(run.data.tags["mlflow.loggedArtifacts"])[0]["path"]
    with open(client.download_artifacts(parent.node.run_id, first, str(tmp_path))) as file:
        table = json.load(file)
    assert first == "serving_front.json"
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["name"] for row in rows] == ["trees", "trial 1", "current", "trial 2"]  # the front, by its first gain
    assert rows[1]["weights"] == "click 0.8, like 0.2"
    with open(client.download_artifacts(parent.node.run_id, "front.svg", str(tmp_path))) as file:
        assert file.read() == SVG
    view = client.get_experiment(run.info.experiment_id).tags["mlflow.sharedViewState.seesaw"]
    assert "metrics.`chosen/click.recall_at_10_percent`" in json.loads(view)["selectedColumns"]
    sent = parent.sent["fronts"]
    log_front(parent, told)
    assert parent.sent["fronts"] == sent


def test_names_that_mlflow_takes():
    there = {
        "valid/like.recall@10%": "valid/like.recall_at_10_percent",
        "buy_at_5.ndcg@5": "buy_at_5.ndcg_at_5",
        "confirm/watch.value@2.5%.mean": "confirm/watch.value_at_2.5_percent.mean",
        "cost/latency_ms": "what it costs/latency_ms",
        "valid/click.auc": "valid/click.auc",
    }
    for name, other in there.items():
        assert outward(name) == other
        assert inward(other) == name
    assert sorted(there.values())[-1] == "what it costs/latency_ms"  # the last of the charts


def test_only_what_is_missing_is_sent_also_beyond_the_limits_of_a_batch(tracker, asked, monkeypatch):
    from mlflow import MlflowClient

    sizes, log = [], MlflowClient.log_batch

    def logged(self, run, *entries):
        sizes.append([len(each) for each in entries])
        log(self, run, *entries)

    node = Parent(tracker, **asked).node
    monkeypatch.setattr(MlflowClient, "log_batch", logged)
    points = [Point(f"m{at % 50}", at, at) for at in range(1700)]
    texts = {f"p{at}": "x" for at in range(250)}
    assert node.send(points[:900], texts, texts) == 900 + 500
    assert sizes == [[900, 250, 250]]
    again = Parent(tracker, **asked).node
    sizes.clear()
    assert again.send(points[:900], texts, texts) == 0
    assert again.send(points, texts, texts | {"p0": "y"}) == 801
    assert sizes == [[800, 0, 1]]
