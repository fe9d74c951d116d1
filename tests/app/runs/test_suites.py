"""Suites, and runs made of them: the shipped ones fit their data and spaces; the files of a run's
folder.
"""

import json
import os
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from raw_files import WRITERS

from bench.app.cli import main
from bench.app.runs import picked
from bench.app.runs.create import create
from bench.app.runs.folder import Run
from bench.app.runs.picked import write_pick
from bench.app.runs.request import Request
from bench.app.runs.suite import Budget, SuiteDataset, load_suite, seconds
from bench.app.runs.suite_objectives import resolve_objectives, resolve_outcomes
from bench.core.errors import UserError
from bench.core.objectives import primary
from bench.core.schema import Task
from bench.core.system import atomic, content
from bench.core.validation import validate
from bench.data import load_card
from bench.data.card_summary import shape_of
from bench.data.synthetic import synthesise
from bench.deciding.policy import Policy
from bench.ledger.pareto import resolve_reference
from bench.search.plan import SHARING
from bench.search.space import fitting, load_space


@pytest.mark.parametrize("name", content.names("reports"))
def test_a_shipped_suite_fits_its_data_its_space_and_its_policy(name):
    suite = load_suite(name)
    assert suite.search.sampler == "gp"
    assert suite.budget.lengths
    assert suite.budget.time is None  # or one seed would not give one result
    policy = validate(Policy, suite.policy, name)
    space = load_space(suite.space).restricted(suite.set)
    for dataset in suite.datasets:
        card = load_card(dataset.id)
        tasks = dataset.tasks_of(card.tasks, card.default_tasks)
        names = [task.name for task in tasks]
        objectives = resolve_objectives(dataset, tasks, names if card.group else ())
        assert len(resolve_reference(objectives, dataset.reference)) == len(objectives)
        policy.check(tasks)
        space.validate_against_config(names)
        outcomes = resolve_outcomes(dataset, tasks, np.empty(0), policy.outcomes)
        assert {outcome.name.partition(".")[0] for outcome in outcomes} == set(names)
        assert fitting(load_space(suite.space), shape_of(card, names)).space.branches(SHARING)


@pytest.mark.parametrize("name", ["ali-ccp", "aliexpress", "tenrec"])
def test_a_suite_whose_data_must_be_brought_says_what_to_put_where(name, tmp_path, capsys):
    home = tmp_path / "home"
    assert main(["run", name, "--home", str(home)]) == 2
    output = capsys.readouterr().err
    for dataset in load_suite(name).datasets:
        card = load_card(dataset.id)
        assert f"{card.key}: could not get" in output
        assert all(file.name in output for file in card.files)
        assert card.homepage in output
    assert "--raw DIR" in output
    assert not (home / "runs").exists()
    assert main(["run", name, "--home", str(home), "--raw", str(tmp_path)]) == 2
    assert load_card(load_suite(name).datasets[0].id).files[0].name in capsys.readouterr().err
    assert not (home / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ali-ccp", "aliexpress", "tenrec", "movielens"])
def test_a_suite_runs_on_generated_files_in_its_format(name, tmp_path, capsys):
    raw, datasets = tmp_path / "raw", [dataset.id for dataset in load_suite(name).datasets][:2]
    if name == "ali-ccp":
        synthesise(name, raw, {"rows": 20_000, "click_rate": 0.3, "buy_rate": 0.3})
    else:
        raw.mkdir()
        for dataset in datasets:
            WRITERS[dataset][0](raw, np.random.default_rng(0))
    options = [
        "--raw",
        str(raw),
        "--trials",
        "2",
        "--executor",
        "inline",
        "--home",
        str(tmp_path / "home"),
    ]
    assert main(["run", name, "--dataset", ",".join(datasets), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    verdicts = ("Use ", "Cannot tell ", "Single-task models are as good", "Nothing is compared")
    assert sum(line.startswith(verdicts) for line in lines) == len(datasets), lines
    assert sum(re.match("(today's |its )?score.* = ", line) is not None for line in lines) == len(
        datasets
    )
    assert lines[-2].startswith("page: ")
    assert lines[-1].startswith("next: seesaw ")


def test_durations():
    for text, expected in (("90s", 90), ("10m", 600), ("1.5h", 5400), ("2d", 172800), (45, 45)):
        assert seconds(text) == Budget(time=text).time == expected
    for text in ("", "m", "-1m", "0", "ten", "1w"):
        with pytest.raises(ValidationError, match="expected a duration"):
            Budget(time=text)


def test_objectives_default_to_every_tasks_own(tmp_path):
    tasks = load_card("synthetic-funnel").tasks
    served = resolve_objectives(
        SuiteDataset(id="synthetic-funnel"), tasks, ranked=[task.name for task in tasks]
    )
    assert [objective.name for objective in served] == ["click.gauc", "purchase.ctcvr.gauc"]
    objectives = resolve_objectives(SuiteDataset(id="synthetic-funnel"), tasks, ranked=())
    assert [objective.name for objective in objectives] == ["click.auc", "purchase.ctcvr.auc"]
    with pytest.raises(UserError, match="only costs"):
        resolve_objectives(SuiteDataset(id="x", objectives=("cost/parameters",)), tasks, ranked=())


def test_outcomes_are_by_whether_groups_have_rows_and_a_policys_take_the_place_of_their_tasks():
    tasks = (Task("click"), Task("buy", parent="click"), Task("watch", "regression"))
    dataset = SuiteDataset(id="x")

    def names(dataset=dataset, sizes=5, asked=()):
        group = np.repeat(np.arange(9), sizes) if sizes else np.full(45, -1)
        return [outcome.name for outcome in resolve_outcomes(dataset, tasks, group, asked)]

    child = Task("seen", "regression", parent="click")
    objectives = [primary(task, grouped) for grouped in (True, False) for task in (*tasks, child)]
    assert objectives == [
        *("click.gauc", "buy.ctcvr.gauc", "watch.ndcg@5", "seen.ndcg@5"),
        *("click.auc", "buy.ctcvr.auc", "watch.spearman", "seen.ctcvr.spearman"),
    ]
    assert names() == ["click.ndcg@5", "buy.ndcg@5", "watch.ndcg@5"]
    assert names(sizes=0) == ["click.recall@10%", "buy.recall@10%", "watch.value@10%"]
    assert names(asked=("buy.recall@1", "buy.recall@1")) == [
        "click.ndcg@5",
        "watch.ndcg@5",
        "buy.recall@1",
    ]
    assert names(asked=("buy.ndcg@5",)) == names()
    with_outcomes = SuiteDataset(id="x", outcomes=("buy.mrr",))
    assert names(with_outcomes) == ["buy.mrr"]
    assert names(with_outcomes, asked=("click.mrr", "buy.map@3")) == ["click.mrr", "buy.map@3"]
    with pytest.raises(UserError, match="an outcome is named twice in"):
        names(SuiteDataset(id="x", outcomes=("buy.mrr", "buy.mrr")))


def test_runs_are_numbered_and_keep_what_was_decided(tmp_path):
    runs = [
        create(tmp_path, Request(suite="quick", dataset=("synthetic-funnel",), trials=3, seed=5))
        for _ in range(3)
    ]
    assert [run.name for run in runs] == [
        "synthetic-funnel",
        "synthetic-funnel-2",
        "synthetic-funnel-3",
    ]
    assert (
        create(tmp_path, Request(suite="quick", dataset=("synthetic-funnel", "census-income"))).name
        == "quick-1"  # `seesaw run quick` begins another
    )
    run = Run.open(tmp_path, "synthetic-funnel-2")
    assert run.manifest.suite.budget.trials == 3
    assert run.request.seed == 5
    assert list(run.datasets) == ["synthetic-funnel"]
    assert run.space.digest() == load_space("quick").restricted(run.manifest.suite.set).digest()


def test_a_run_is_opened_by_name_or_path_and_a_damaged_one_is_refused(tmp_path):
    run = create(tmp_path, Request(suite="quick", name="mine"))
    assert Run.open(tmp_path, "mine") == Run.open(tmp_path, str(run.folder))
    with pytest.raises(UserError, match=r"unknown run 'mime' \(did you mean 'mine'\?\)"):
        Run.open(tmp_path, "mime")
    (run.folder / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json: not valid JSON"):
        Run.open(tmp_path, "mine")


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_a_kill_between_the_files_of_a_pick_leaves_none_of_another(tmp_path, monkeypatch, rename):
    renamed: list[Any] = []

    def replace(*arguments, to=os.replace):
        renamed.append(arguments)
        if len(renamed) == 3 + rename:  # three are of the first pick
            raise KeyboardInterrupt
        to(*arguments)

    run = SimpleNamespace(
        name="first", folder=tmp_path, run=SimpleNamespace(name="first"), fingerprint=None
    )
    monkeypatch.setattr(
        picked,
        "picked_network",
        lambda result: SimpleNamespace(config={}, until=None, name=result.decision.pick.name),
    )
    monkeypatch.setattr(picked, "provenance", lambda part, data, point, path: {"name": point.name})
    monkeypatch.setattr(picked, "recipe_of", lambda result, until: {})
    monkeypatch.setattr(atomic.os, "replace", replace)

    def of(name):
        pick = SimpleNamespace(name=name, row=0)
        decision = SimpleNamespace(pick=pick, picked={"name": name}, formulas=["2 p_click"])
        return SimpleNamespace(run=run, decision=decision)

    write_pick(of("one"))
    assert (tmp_path / "picked.toml").read_text() == "# one of first\n# score = 2 p_click\n"
    with pytest.raises(KeyboardInterrupt):
        write_pick(of("two"))
    name = json.loads((tmp_path / "picked.json").read_text())["name"]
    assert all(name in path.read_text() for path in tmp_path.iterdir())
