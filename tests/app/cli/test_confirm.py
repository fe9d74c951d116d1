"""`seesaw run RUN --confirm`: what is added to a run that is over, and what is refused."""

import html
import json
from collections import Counter

import pytest

from bench.app.report.text import sentences
from bench.app.runs.folder import Run
from bench.search.study import Study

BALANCED = """
[parameters."balancing.kind"]
type = "switch"
default = "upgrad"
unless = { "sharing.kind" = ["single_task"] }
[parameters."balancing.kind".branches.static]
[parameters."balancing.kind".branches.upgrad]
"""


@pytest.fixture
def weighed(shop):
    """The shop, with a choice of balancers and every baseline but trees."""
    space = shop.folder / "space.toml"
    space.write_text(space.read_text() + BALANCED)
    every = '["single_task", "equal_weights", "random_weights", "ensemble"]'
    shop.edit(shop.suite, 'baselines = ["single_task"]', f"baselines = {every}")
    return shop


def study_of(home, name):
    return Study.read(next(iter(Run.open(home, name).datasets.values())).folder)


def essence(records):
    """What of records does not depend on the machine's pace."""
    return [
        (
            record.number,
            record.config,
            [
                (
                    run.replicate,
                    run.seed,
                    {k: v for k, v in run.metrics.items() if not k.startswith("cost/latency")},
                )
                for run in record.replicates
            ],
        )
        for record in records
    ]


def every_surface_says_the_same(seesaw, home, page):
    """`frontier`, `compare`, `pick`, page and MLflow: one answer, and one value of each number."""
    import mlflow

    found = json.loads(seesaw("show", "whole", "--json").out)
    answer = found["answer"]
    assert answer["static_weights"] == 7
    assert answer["verdict"] in {"yes", "no", "cannot tell"}
    assert json.loads(seesaw("compare", "whole", "--json").out)["groups"][0]["answer"] == answer
    assert json.loads(seesaw("pick", "whole", "--json").out)["answer"] == answer
    assert answer["sentence"] in seesaw("show", "whole", "--heads").out.replace("\n", " ")
    assert all(html.escape(each) in page for each in sentences(answer["sentence"]))

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    everywhere = [each.experiment_id for each in client.search_experiments()]
    [parent] = client.search_runs(
        everywhere, "tags.`seesaw.run` = 'whole' and tags.`seesaw.kind` = 'parent'"
    )
    assert parent.data.tags["seesaw.answer"] == answer["sentence"]
    assert parent.data.metrics["front.hypervolume"] == pytest.approx(found["hypervolume"]["value"])
    for point in (each for each in found["points"] if each["role"] == "trial"):
        where = f"tags.`seesaw.run` = 'whole' and tags.`seesaw.trial` = '{point['trial']}'"
        runs = [
            run
            for run in client.search_runs(everywhere, where)
            if "front.p_nondominated" in run.data.metrics
        ]
        [metrics] = [run.data.metrics for run in runs]
        assert metrics["front.p_nondominated"] == pytest.approx(point["p_nondominated"])
        assert metrics["confirm/click.auc.mean"] == pytest.approx(
            point["metrics"]["confirm/click.auc"]
        )


@pytest.mark.slow
def test_confirm_adds_what_is_missing_once_and_the_same_after_an_interruption(
    seesaw, weighed, tmp_path, interrupt
):
    home, options = tmp_path / "home", ("--executor", "inline", "--raw", weighed.raw)
    for name in ("whole", "broken"):
        said = seesaw("run", weighed.suite, "--name", name, *options)
        assert said.code == 0, said.err
    before = study_of(home, "whole")
    more = [f"--confirm={setting}" for setting in ("static=7", "members=2", "replicates=3")]
    said = seesaw("run", "whole", *more, "--json")
    assert said.code == 0, said.err
    study, document = study_of(home, "whole"), json.loads(said.out)

    static = [record for record in study.baselines() if record.kind == "static_weights"]
    assert [record.weights["buy"] for record in static][::3] == [1 / 16, 1.0, 16.0]
    assert {len(record.replicates) for record in study.baselines()} == {3}
    tries = [json.loads(training) for training in study.tries]
    tried = Counter(
        config["balancing.static.weight.buy"]
        for kind, _, config in tries
        if kind == "static_weights"
    )
    assert set(tried.values()) == {2}  # the search had few trials with a gradient method: the least
    families = {
        record.balancing if record.sharing != "single_task" else "" for record in study.records()
    }
    for family in families:
        own = [
            r
            for r in study.records()
            if (r.balancing if r.sharing != "single_task" else "") == family
        ]
        assert sum(len(record.replicates) >= 3 for record in own) >= min(2, len(own))
    assert [record.params for record in study.records()] == [
        record.params for record in before.records()
    ]
    names = [each["name"] for each in document["baselines"] if not each["name"].startswith("twin")]
    assert names[:4] == ["single_task", "equal_weights", "random_weights", "ensemble"]
    assert names[4:] == [
        f"static_weights {ratio}" for ratio in ("16:1", "6.35:1", "2.52:1", "1:1")
    ] + [f"static_weights {ratio}" for ratio in ("1:2.52", "1:6.35", "1:16")]
    assert all(baseline["ci"]["test/click.auc"] for baseline in document["baselines"])
    page = (home / "runs/whole/report.html").read_text()
    every_surface_says_the_same(seesaw, home, page)

    interrupt(lambda job: job == 9)
    assert seesaw("run", "broken", *more).code == 130
    for command in ("show", "pick"):
        said = seesaw(command, "broken")
        assert "The run has not ended: points or replicates are missing here; " in said.out
        assert "runs/broken` goes on" in said.out
    assert (
        json.loads(seesaw("status", "broken", "--json").out)["datasets"].popitem()[1]["search"][
            "left"
        ]
        > 0
    )
    interrupt(lambda job: False)
    said = seesaw("run", "broken")
    assert said.code == 0, said.err
    assert "has not ended" not in said.out + seesaw("show", "broken").out
    broken = study_of(home, "broken")
    assert essence(broken.baselines()) == essence(study.baselines())
    assert essence(broken.records()) == essence(study.records())

    interrupt(lambda job: True)  # it would not get far with a job
    again = seesaw("run", "whole", *more, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["baselines"] == document["baselines"]


def test_what_cannot_be_is_refused_in_a_sentence(seesaw, weighed, tmp_path, monkeypatch):
    from bench.app.runs.create import create
    from bench.app.runs.request import Request

    def made(name):
        create(tmp_path / "home", Request(suite=str(weighed.suite), name=name, raw=weighed.raw))

    def refused(*arguments):
        said = seesaw("run", *arguments)
        assert said.code == 2
        assert not list((tmp_path / "home/runs").glob("*/*/study.jsonl"))  # nothing was begun
        return said.err

    made("a")
    assert "unknown suite or run 'b'; known are a" in refused("b", "--confirm", "static=7")
    assert "expected static = 0, or at least 2 weights, found 1" in refused(
        "a", "--confirm", "static=1"
    )
    assert "--confirm: members: expected" in refused("a", "--confirm", "members=-1")
    assert "--confirm replicates: expected at least 2, which 'a' has already, found 1" in refused(
        "a", "--confirm", "replicates=1"
    )
    assert "--confirm budget: expected at least 6, which 'a' has already, found 5" in refused(
        "a", "--confirm", "budget=5"
    )
    monkeypatch.chdir(weighed.raw.parent)
    assert "expected static = 0" in refused("a", "--raw", weighed.raw.name, "--confirm", "static=1")
    assert "--raw: expected" in refused("a", "--raw", "elsewhere")
    assert "--part: expected a suite's name" in refused("a", "--part", "d/mmoe/equal")
    weighed.edit(weighed.suite, "[confirm]", '[set]\n"sharing.kind" = "single_task"\n[confirm]')
    made("single")
    assert "expected a space with models that share, found single_task" in refused(
        "single", "--confirm", "static=7"
    )
    weighed.edit(weighed.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', 'tasks = ["click"]')
    made("alone")
    assert "expected two tasks or more to weigh, found only click" in refused(
        "alone", "--confirm", "static=7"
    )
