"""From a question to a served model: picked without a file, deployed, served over HTTP, judged,
then current.
"""

import csv
import json
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server import served

from bench.app.cli import main
from bench.app.runs.folder import Run
from bench.app.runs.picked import picked_network, write_pick
from bench.app.runs.result import result_of
from bench.ledger.fusion import fused
from bench.measure.outcomes import Measure
from bench.measure.predictions import FOLDER, read_rows
from bench.serve.package import Package

pytestmark = pytest.mark.slow  # searches of some seconds, then trainings and a server
ASKED = ("--maximize", "buy.recall@10%", "--at-least", "click.recall@10%=0.1")
OUTCOMES = ["click.recall@10%", "buy.recall@10%"]


@dataclass(frozen=True)
class Flow:
    """The run `flow` of two tasks and three baselines, with a deployed champion, and commands at
    its home.
    """

    home: Path
    shop: Any
    seesaw: Any

    @property
    def new_rows(self):
        """A log and its labels, as `seesaw decide` reads them: days that no model was trained on."""
        labels = ("--label", "click", "--label", "buy", "--parent", "buy=click")
        return (self.shop.log, *labels, "--time", "day", "--trained-until", "25")

    @property
    def part(self):
        return next(iter(Run.open(self.home, "flow").datasets.values()))

    @property
    def picked(self):
        return json.loads((self.part.folder / "picked.json").read_text())

    @property
    def package(self):
        return Package.open(self.part.folder / "package")

    def say(self, *arguments):
        said = self.seesaw(*arguments, home=self.home)
        assert said.code == 0, f"{arguments}\n{said.err}"
        return str(said.out)

    def json(self, *arguments):
        return json.loads(self.say(*arguments, "--json"))


@pytest.fixture(scope="module")
def ran(module_shop, tmp_path_factory):
    shop, home = module_shop, tmp_path_factory.mktemp("home")
    shop.write_log(4000, seed=1, today=True)
    shop.edit(shop.card, "reader =", 'logged = ["today"]\nreader =')
    shop.edit(shop.suite, "trials = 6", "trials = 3")
    shop.edit(shop.suite, '["single_task"]', '["single_task", "equal_weights", "trees"]')
    raw = ["--raw", str(shop.raw), "--home", str(home)]
    assert main(["run", str(shop.suite), "--name", "flow", "--executor", "inline", *raw]) == 0
    assert main(["pick", "flow", *ASKED, "--save", "--home", str(home)]) == 0
    assert main(["deploy", "flow", "--name", "shop", "--force", "--no-onnx", *raw]) == 0
    return home, shop


@pytest.fixture
def flow(ran, seesaw):
    return Flow(*ran, seesaw)


def test_the_answer_is_served(flow, tmp_path):
    picked = flow.json("pick", "flow", *ASKED)
    assert {"trial", "weights", "outcomes", "sentence"} <= set(picked)
    assert 'epsilon.best = "buy.recall@10%"' in picked["policy"]
    assert sum(picked["weights"].values()) == pytest.approx(1)
    expression = flow.json("pick", "flow", *ASKED, "--formula", "sql")["expression"]
    assert f"sql: {expression}" in flow.say("pick", "flow", *ASKED, "--formula", "sql")
    package = flow.package
    assert list(package.manifest.outcomes) == OUTCOMES
    assert package.manifest.name == "shop"  # not the card's path
    result = result_of(flow.part)
    score = result.decision.formulas[result.decision.pick.row]
    assert f"`score` = {score}, of raw" in (package.folder / "README.md").read_text()
    with flow.shop.log.open() as file:
        every = [
            {name: row[name] for name in ("user", "item", "price")} for row in csv.DictReader(file)
        ]
    rows = [row | {"price": float(row["price"])} for row in every[-200:]]
    with served(
        "models:/shop@champion", tmp_path / "server.log", flow.part.run.tracking_uri
    ) as server:
        status, answer = server.rows(rows)
    assert status == 200
    scorer, kept = package.scorer(), read_rows(flow.part.folder / FOLDER, "test")
    joint = scorer.engine(*scorer.encode(scorer.rows.table(rows)))[1]
    own = fused(picked["kind"], joint, [picked["weights"][task] for task in kept.tasks], kept.rates)
    said = np.array([row["score"] for row in answer["predictions"]])
    np.testing.assert_allclose(said, own, rtol=1e-5)
    assert np.unique(own.round(4)).size > 100


def test_the_served_score_is_judged_challenger_against_champion(flow):
    raw = ("--raw", flow.shop.raw)
    flow.say(
        "deploy",
        "flow",
        "--name",
        "shop",
        "--force",
        "--no-onnx",
        "--as",
        "challenger",
        "--seed",
        1,
        *raw,
    )
    models = ("--model", "new=package:shop@challenger", "--model", "old=package:shop@champion")
    today = ("--today", "old", "--score", "old:score")
    judged = flow.json("decide", *flow.new_rows, *models, *today)["judged"]
    assert [each["metric"] for each in judged["outcomes"]] == OUTCOMES
    assert judged["sentence"].startswith("new as packaged against today's score (old:score): ")
    assert all(each["difference"] for each in judged["predictions"])


def picked_instead(result, point):
    """The result with another point as its pick."""
    chosen = replace(result.decision.pick, point=point)
    return replace(result, decision=replace(result.decision, pick=chosen))


def test_every_network_has_a_configuration_that_remakes_it(flow):
    result = result_of(flow.part)
    for point in (each for each in result.decision.frontier.points if each.replicates):
        write_pick(picked_instead(result, point.id))
        if picked_network(picked_instead(result, point.id)) is None:
            assert not list(flow.part.folder.glob("p*.toml"))
            assert not (flow.part.folder / "provenance.json").exists()
            continue
        document = json.loads((flow.part.folder / "provenance.json").read_text())
        score = result.decision.formulas[result.decision.pick.row]
        assert f"\n# score = {score}\n" in (flow.part.folder / "picked.toml").read_text()
        if point.kind == "equal_weights":
            made = flow.json(*shlex.split(document["command"])[1:])["metrics"]
            last = document["trainings"][-1]["metrics"]
            assert {key: made[key] for key in last} == last
    write_pick(result)


def test_trees_are_picked_deployed_and_score_rows(flow, tmp_path):
    table = result_of(flow.part).decision.choices.table
    auc = float(table["click.auc"][table["point"] == "trees"].iloc[0])
    policy = tmp_path / "trees.toml"
    limits = f'at_least."click.auc" = {auc - 1e-9}\nat_most."click.auc" = {auc + 1e-9}'
    policy.write_text(f"[guard]\nmax_loss_vs_current = inf\n{limits}\n[retrain]\nseeds = 1\n")
    assert flow.json("pick", "flow", "--policy", policy)["point"] == "trees"
    planned = flow.say("deploy", "flow", "--policy", policy, "--dry-run")
    assert (
        "boosted trees on 1 seed, with as many trees as lower the loss on what is held out"
        in planned
    )
    kept = flow.part.folder / "package"
    shutil.move(kept, tmp_path / "kept")
    try:
        raw = ("--raw", flow.shop.raw)
        flow.say(
            "deploy", "flow", "--policy", policy, "--name", "grove", "--force", "--no-onnx", *raw
        )
        assert [part.trees for part in flow.package.manifest.parts] == [True]
        assert flow.json(
            "score", kept, "--latency", "--engine", "eager", "--batches", 100, "--seconds", 0.1
        )
        decided = flow.json("decide", *flow.new_rows, "--model", f"grove=package:{kept}")
        assert {each["metric"] for each in decided["judged"]["outcomes"]} >= {OUTCOMES[1]}
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(tmp_path / "kept", kept)


def test_a_column_of_the_log_is_current(flow, tmp_path):
    """Rows without today's score were ranked last."""
    suite, today = tmp_path / "suite.toml", tmp_path / "today.toml"
    today.write_text('column = "today"')
    text = flow.shop.suite.read_text().replace("trials = 3", "trials = 2")
    suite.write_text(text.replace('["single_task", "equal_weights", "trees"]', "[]"))
    options = ("--executor", "inline", "--raw", flow.shop.raw, "--name", "column")
    assert flow.json("run", suite, "--current", today, *options)["served"]["current"]["name"]
    part = next(iter(Run.open(flow.home, "column").datasets.values()))
    assert "today's score, column 'today'" in result_of(part).decision.serving.against
    rows, front = read_rows(part.folder / FOLDER, "test"), result_of(part).decision.serving.served
    score = rows.logged["today"].astype(np.float64)
    assert 0.05 < np.isnan(score).mean() < 0.15
    measure = Measure(part.tasks, OUTCOMES, rows)
    expected = measure.values(np.where(np.isnan(score), -1e9, score))[0]
    assert list(front.names) == OUTCOMES
    np.testing.assert_allclose(front.at("test")[front.current], expected)
