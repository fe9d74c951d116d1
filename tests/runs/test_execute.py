"""What a run hands to search and confirmation, without training anything."""

from types import SimpleNamespace

import pytest

from bench.core.records import Point
from bench.core.seeds import derive
from bench.measure.resampling import RESAMPLES
from bench.runs import execute
from bench.runs.create import create
from bench.runs.request import Request
from bench.system.progress import Silent

SUITE = """
title = "All of it"
space = "quick"
[[datasets]]
id = "synthetic-funnel@rows=2000"
objectives = ["click.auc", "purchase.ctcvr.auc"]
reference = { "click.auc" = 0.4 }
[budget]
trials = 6
[search]
lowest = 0.25
tries = 1
share = 0.3
checkpoint_gb = 2.0
[confirm]
replicates = 2
limit = 3
members = 1
kinds = true
baselines = ["single_task", "ensemble"]
[set]
"optim.epochs" = 1
"""


class Done(Exception):
    pass


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """Arguments of what a run calls, by name; the search finds trials 1 to 4."""
    found, point = {}, [Point("trial", {}, "", number) for number in range(5)]
    answers = {"shortlist": point[1:3], "members": point[2:4], "kinds": point[4:], "search": None, "write_rows": None}
    answers |= {"baselines_of": [Point("ensemble", {}, "ensemble")], "retuned": []}

    def called(name, *given):
        found[name] = given
        if name == "confirm":
            raise Done
        return given[3] if name == "tuned" else answers[name]

    for name in (*answers, "tuned", "confirm"):
        monkeypatch.setattr(execute, name, lambda *given, name=name: called(name, *given))
    (tmp_path / "suite.toml").write_text(SUITE)
    run = create(
        tmp_path / "home", Request(suite=str(tmp_path / "suite.toml"), seed=5, threads=3, workers=2, device="cpu")
    )
    (part,) = run.datasets.values()
    reporter = SimpleNamespace(begin=lambda *given: None, log=lambda *given: None)
    with pytest.raises(Done):
        execute._search(part, part.prepare(Silent(), None), reporter, Silent())
    return found | {"part": part}


def test_what_is_confirmed_and_with_how_many_replicates(seen):
    _, _, _, points, replicates, _, _, others, budget, seed = seen["confirm"]
    assert [point.number for point in points] == [1, 2, 3, 4]  # a member that is short-listed once
    assert [point.kind for point in others] == ["ensemble"]
    assert (replicates, budget, seed) == (2, 9 + 2 * 2, 5)  # one and a half times 2 x 3, and both for each more
    _, objectives, reference, limit, single_task = seen["shortlist"]
    assert (reference, limit, single_task) == ({"click.auc": 0.4}, 3, True)
    assert [each.name for each in objectives] == ["click.auc", "purchase.ctcvr.auc"]
    assert seen["members"][-1] == 1
    assert [point.number for point in seen["kinds"][-1]] == [1, 2, 3]
    assert seen["baselines_of"][3] == ("single_task", "ensemble")


def test_the_search_is_the_suites(seen):
    plan, _, _, make_job, *_ = seen["search"]
    assert (plan.trials, plan.seed, plan.sampler, plan.tries, plan.share) == (6, 5, "gp", 1, 0.3)
    assert (plan.tasks, plan.checkpoint_bytes, plan.seconds) == (("click", "purchase"), 2e9, None)
    assert plan.reference == {"click.auc": 0.4}
    config = {"sharing.kind": "mmoe"}
    job = make_job(Point("trial", config, "", 3, until=640), 0, ("valid",))
    assert (job.trial, job.replicate, job.splits, job.seed) == (3, 0, ("valid",), derive(5, 3, 0))
    assert (job.until, job.threads, job.device, job.tasks) == (640, 3, "cpu", plan.tasks)
    assert (job.resamples, job.predictions) == (0, None)
    again, other = (make_job(point, 2, ("valid", "test")) for point in
                    (Point("trial", config, "", 3), Point("ensemble", config, "")))  # fmt: skip
    assert again.seed == other.seed == derive(5, "replicate", 2)  # models are compared seed by seed
    assert (other.trial, other.kind, other.resamples) == (None, "ensemble", RESAMPLES)
    assert other.predictions.startswith(str(seen["part"].folder))
    assert make_job(Point("ensemble", config, ""), 0, ("valid",)).seed == derive(5, "ensemble", 0)
