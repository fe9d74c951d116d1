"""A search by rungs, end to end, on a small data set of one's own."""

import json
from dataclasses import replace

import pytest

from bench.app.runs.folder import CONFIG, Run
from bench.app.runs.picked import write_pick
from bench.app.runs.result import result_of
from bench.core.seeds import derive

BUDGET = 8500  # samples: eight of full length, which is two passes over 534 rows


@pytest.fixture
def rungs(shop):
    """The shop's suite, with rungs and a budget of samples."""
    shop.edit(shop.suite, "trials = 6", f"samples = {BUDGET}")
    shop.edit(
        shop.suite, "tries = 1", "tries = 1\nfull_length = 1000\nlowest = 0.125\nstep = 3\neta = 3"
    )
    shop.edit(shop.folder / "space.toml", '"optim.epochs" = 2', '"optim.epochs" = 7')
    # on so few rows a task at its own best, at any rung, is far from what any shared model reaches
    # in it
    shop.edit(shop.suite, "[confirm]", "[policy.guard]\nmax_loss_vs_current = inf\n[confirm]")
    return shop


def valid(metrics):
    return {name: value for name, value in metrics.items() if name.startswith("valid/")}


def test_a_budget_that_does_not_hold_one_trial_is_refused(seesaw, rungs):
    """How long a trial is, is known once the data is prepared."""
    rungs.edit(rungs.suite, f"samples = {BUDGET}", "samples = 99")
    said = seesaw("run", rungs.suite, "--raw", rungs.raw, "--executor", "inline")
    assert said.code == 2
    (line,) = [text for text in said.err.splitlines() if text.startswith("seesaw: ")]
    assert "budget.samples: expected at least 1,0" in line
    assert "found 99" in line


@pytest.mark.slow
def test_a_picked_point_is_trained_again_to_the_same_metrics(seesaw, rungs, tmp_path):
    """Whichever rung it is at: mid-schedule, on full length, and with objectives that are not the
    tasks' own.
    """
    rungs.edit(rungs.suite, '"buy.ctcvr.auc"]', '"buy.ctcvr.logloss"]')
    rungs.run(seesaw, "a")
    part = next(iter(Run.open(tmp_path / "home", "a").datasets.values()))
    result = result_of(part)
    decision = result.decision
    assert decision.pick is not None
    record = max(
        (each for each in result.records if each.sharing != "single_task"),
        key=lambda each: len(each.rungs),
    )
    assert len(record.rungs) > 1
    for point in record.points:
        chosen = {
            "point": point.id,
            "trial": record.number,
            "config": record.config,
            "until": point.until,
        }
        pick = replace(decision.pick, **chosen)
        # those that are worse than another of its own, too
        front = replace(decision.frontier, points=record.points)
        write_pick(replace(result, decision=replace(decision, frontier=front, pick=pick)))
        assert ("training.until" in (part.folder / CONFIG).read_text()) == (point.until is not None)
        seed = derive(0, record.number, 0)
        said = seesaw(
            "train",
            rungs.card,
            "--raw",
            rungs.raw,
            "--config",
            part.folder / CONFIG,
            "--seed",
            seed,
            "--json",
        )
        assert said.code == 0, said.err
        # a search sees outcomes, too
        seen = {key: value for key, value in valid(point.metrics).items() if "@" not in key}
        assert valid(json.loads(said.out)["metrics"]) == seen


@pytest.mark.slow
def test_status_of_a_search_that_was_stopped_in_the_middle(seesaw, rungs, tmp_path, interrupt):
    interrupt(lambda job: job == 9)
    assert (
        seesaw("run", rungs.suite, "--raw", rungs.raw, "--name", "cut", "--executor", "inline").code
        == 130
    )
    (search,) = (
        part["search"]
        for part in json.loads(seesaw("status", "cut", "--json").out)["datasets"].values()
    )
    keys = "rungs kinds begun failures samples seconds checkpoints share left hypervolume ended"
    assert list(search) == keys.split()
    (job,) = search["begun"]
    assert (set(job), job["since"] > 0) == ({"trial", "sharing", "to", "since"}, True)
    assert job["to"] in {rung["samples"] for rung in search["rungs"]}
    assert search["share"] == pytest.approx(search["samples"]["used"] / BUDGET)
    assert 0 < search["share"] < 1
    assert search["checkpoints"]["trials"] > 0
    assert 0 < search["checkpoints"]["bytes"] <= search["checkpoints"]["limit"] == 20e9
    assert search["left"] > 0
    told = seesaw("status", "cut").out
    assert "running, or interrupted" in told
    assert "goes on" in told
    assert "seesaw run" in told

    assert seesaw("run", "cut", "--samples", 2 * BUDGET).code == 0
    (search,) = (
        part["search"]
        for part in json.loads(seesaw("status", "cut", "--json").out)["datasets"].values()
    )
    assert BUDGET < search["samples"]["used"] <= 2 * BUDGET
    assert (search["begun"], search["left"]) == ([], 0)
    assert "goes on" not in seesaw("status", "cut").out
