"""Whole runs of one kind or another, from the suite to all that they leave."""

import json

import numpy as np
import pytest
from in_memory import binary

from bench.core.objectives import key_on
from bench.measure.predictions import FOLDER, KEPT, joined, name_of, predictions, read_rows
from bench.results.diagnosis import numbers
from bench.results.points import kept_names, points, sources_of
from bench.runs.folder import Run
from bench.search.study import Study


def one_label(shop):
    shop.edit(shop.card, '[[tasks]]\nname = "buy"\ncolumn = "buy"\nparent = "click"\n', "")
    shop.edit(shop.card, 'post_exposure = ["dwell"]', 'post_exposure = ["dwell", "buy"]')
    shop.edit(shop.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', 'objectives = ["click.auc"]')
    shop.edit(shop.suite, "trials = 6", "trials = 3")


@pytest.mark.slow
def test_a_run_of_one_label_ends_with_all_that_a_run_has(seesaw, shop, tmp_path):
    one_label(shop)
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--name", "one", "--executor", "inline", "--json")
    assert said.code == 0, said.err
    shown = seesaw("frontier", "one", "--json")
    assert shown.code == 0, shown.err
    baselines = {each["name"]: each["replicates"] for each in json.loads(shown.out)["baselines"]}
    assert baselines["single_task"] >= 2  # none, where its replicates failed
    for command in ("status", "pick", "report", "diagnose", "compare"):
        said = seesaw(command, "one")
        assert said.code == 0, (command, said.err)
    assert "one task needs no balancing" in seesaw("compare", "one").out
    assert next(tmp_path.rglob("report.html")).is_file()
    deployed = seesaw("deploy", "one", "--json")
    assert deployed.code == 0, deployed.err
    assert json.loads(deployed.out)["package"]


NAMES = ("click.auc", "buy.ctcvr.auc", "cost/parameters", "click.logloss", "cost/latency_ms")


def objectives(shop, names, more=""):
    shop.edit(shop.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', f"objectives = {json.dumps(names)}\n{more}")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_run_over_so_many_objectives_ends_with_a_page(seesaw, shop, tmp_path, count):
    worst = (0.0, 0.0, 1e5, 9.0, 1e5)  # of each, so that every trial counts
    reference = ", ".join(f'"{name}" = {value}' for name, value in list(zip(NAMES, worst, strict=True))[:count])
    objectives(shop, NAMES[:count], f"reference = {{ {reference} }}")
    shop.edit(shop.suite, "[confirm]", "[policy.guard]\nmax_loss_vs_current = inf\n[confirm]")
    shop.edit(shop.suite, "replicates = 2", "replicates = 1")
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", "inline", "--trials", 4, "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    keys = [key_on(name, "confirm") for name in NAMES[:count]]
    assert set(keys) <= set(document["points"][0]["metrics"])
    assert document["hypervolume"]["value"] > 0
    assert "hypervolume of the front of heads" in (tmp_path / "home/runs/a/report.html").read_text()
    if count > 1:  # nobody on the front is beaten in all of them
        signs = [-1 if "cost" in key or "logloss" in key else 1 for key in keys]
        values = [
            [s * point["metrics"][key] for s, key in zip(signs, keys, strict=True)] for point in document["points"]
        ]
        assert not any(a != b and all(x >= y for x, y in zip(a, b, strict=True)) for a in values for b in values)


@pytest.mark.slow
def test_a_run_keeps_every_replicates_predictions(seesaw, shop, tmp_path):
    every = '["single_task", "equal_weights", "random_weights", "trees", "ensemble"]\nstatic = 2'
    shop.edit(shop.suite, 'baselines = ["single_task"]', f"baselines = {every}")
    said = seesaw("run", shop.suite, "--name", "kept", "--raw", shop.raw)
    assert said.code == 0, said.err
    [part] = Run.open(tmp_path / "home", "kept").datasets.values()
    study, folder = Study.read(part.folder), part.folder / FOLDER
    kept = [point for point in (*points(study.records(), study.objectives), *study.baselines()) if point.replicates]
    assert {point.kind for point in kept} >= {"trial", "trees", "ensemble", "equal_weights", "static_weights"}
    names = set()
    for point in kept:
        for run in point.replicates:
            names.add(name := name_of(point.training, run.replicate))
            for split in KEPT:
                rows, joint = read_rows(folder, split), predictions(folder, split, name)
                auc = [binary(rows.labels[:, at], joint[:, at], rows.group)["auc"] for at in range(2)]
                assert auc == [run.metrics[f"{split}/click.auc"], run.metrics[f"{split}/buy.ctcvr.auc"]]
    left = {path.name for path in folder.iterdir()} - {f"{name}.{split}.npy" for name in names for split in KEPT}
    assert left == {"rows.json"} | {f"{split}.{of}.npy" for split in KEPT for of in ("labels", "group", "units")}
    assert json.loads((folder / "rows.json").read_text())["seen"]["test"] == [len(rows.group)] * 2
    sources = sources_of(points(study.records(), study.objectives), study.objectives)
    own = kept_names(sources, rows.tasks, sources["click"].replicates[0].seed)
    assert np.isfinite(joined(folder, "test", own)).all()
    (part.folder / "served.json").unlink()  # drawn again
    for name in (f"{own[0]}.confirm.npy", "test.labels.npy"):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
        said = seesaw("frontier", "kept")
        assert (said.code, said.err.count("\n"), f"found {file} changed, cut or gone" in said.err) == (2, 1, True)
        file.write_bytes(whole)
    assert seesaw("frontier", "kept").code == 0


@pytest.mark.slow
def test_a_blend_is_a_candidate_of_a_run(seesaw, shop, tmp_path):
    shop.edit(shop.suite, 'baselines = ["single_task"]', 'baselines = ["single_task", "trees", "blend"]')
    document = shop.run(seesaw, "a")
    assert [baseline["name"] for baseline in document["baselines"]] == ["single_task", "trees", "blend"]
    [part] = Run.open(tmp_path / "home", "a").datasets.values()
    study = Study.read(part.folder)
    [point] = [each for each in study.baselines() if each.kind == "blend"]
    assert {key for key in point.config if key.startswith("blend.")} == {
        "blend.network", "blend.trees", "blend.share.click", "blend.share.buy",
    }  # fmt: skip
    for task in ("click.auc", "buy.ctcvr.auc"):
        assert len(point.replicates) == 2
        assert all(0.4 < each.metrics[f"test/{task}"] <= 1 for each in point.replicates)
        assert all(len(each.resampled[f"test/{task}"]) > 1 for each in point.replicates)
    cells = seesaw("frontier", "a", "--csv", tmp_path / "cells.csv")
    assert cells.code == 0, cells.err
    assert "blend of a network and boosted trees" in (tmp_path / "cells.csv").read_text()
    log = (part.folder / "study.jsonl").read_bytes()
    assert seesaw("resume", "a").code == 0
    assert (part.folder / "study.jsonl").read_bytes() == log


@pytest.mark.slow
def test_a_run_records_diagnoses_and_tells_them(seesaw, shop, monkeypatch, tmp_path):
    from mlflow import MlflowClient

    monkeypatch.setattr("bench.training.diagnosis.interval", lambda total, batch, tasks: 4)
    shop.edit(shop.suite, "trials = 6", "trials = 3")
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", "inline", "--json")
    assert said.code == 0, said.err
    picked = json.loads(seesaw("pick", "a", "--json").out)
    document = json.loads(seesaw("diagnose", "a", "--json").out)
    assert document["trial"] == picked["trial"]
    assert document["sentences"]
    for number in range(3):
        found = json.loads(seesaw("diagnose", "a", number, "--json").out)
        assert found["trial"] == number
        assert found["diagnosis"]["probes"] == 4  # 16 steps
        assert set(found["diagnosis"]["tasks"]) == {"click", "buy"}
        assert set(found["diagnosis"]["course"]) == {"click.auc", "buy.ctcvr.auc"}
        text = seesaw("diagnose", "a", number)
        assert text.code == 0, text.err
        assert text.out.startswith(f"trial {number} on ")
        assert found["sentences"][0][:20] in text.out
        assert "weight x norm" in text.out
    every = json.loads(seesaw("diagnose", "a", "--all", "--json").out)["trials"]
    assert [one["trial"] for one in every] == [0, 1, 2]
    assert every[2] | {"drift": []} == json.loads(seesaw("diagnose", "a", 2, "--json").out)
    told = seesaw("diagnose", "a", "--all").out
    assert [line.split()[1] for line in told.splitlines() if line.startswith("trial ")] == ["0", "1", "2"]
    for wrong, words in (([99], "found 99"), ([1, "--all"], "either a trial or --all")):
        refused = seesaw("diagnose", "a", *wrong)
        assert (refused.code, words in refused.err) == (2, True)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("seesaw/shop").experiment_id
    runs = client.search_runs([experiment], "metrics.`diagnosis/probes` = 4")
    assert len(runs) == 3
    for logged in runs:
        of = every[int(logged.data.tags["seesaw.trial"])]["diagnosis"]
        assert logged.data.metrics["diagnosis/loss/click"] == of["tasks"]["click"]["loss"]
        assert (
            logged.data.metrics.items() >= {f"diagnosis/{name}": value for name, value in numbers(of).items()}.items()
        )


CONFIG = """
[config]
"sharing.kind" = "shared_bottom"
"optim.epochs" = 2
"optim.batch_size" = 64
"embedding.dim" = 4
"tower.layers" = "8"
"optim.lr" = {lr}
[score]
weights = {{ click = 1, buy = 1 }}
"""


def write(file, lr):
    file.write_text(CONFIG.format(lr=lr))
    return file


@pytest.mark.slow
def test_current_is_confirmed_like_a_baseline_and_may_change(seesaw, shop, tmp_path):
    shop.edit(shop.suite, "trials = 6", "trials = 2")
    home, first, second = tmp_path / "home", write(tmp_path / "a.toml", 0.004), write(tmp_path / "b.toml", 0.008)
    options = ("--executor", "inline", "--raw", shop.raw, "--name", "one", "--json")
    said = seesaw("run", shop.suite, "--current", first, *options)
    assert said.code == 0, said.err
    document = json.loads(said.out)
    current = next(each for each in document["baselines"] if each["name"] == "current")
    assert current["replicates"] == 2
    assert set(current) >= {"metrics", "on_front", "p_nondominated"}
    first.unlink()  # the run keeps what it said
    part = next(iter(Run.open(home, "one").datasets.values()))
    [before] = [each for each in Study.read(part.folder).baselines() if each.kind == "current"]
    assert before.config["optim.lr"] == 0.004
    seeds = {run.seed for record in Study.read(part.folder).records() for run in record.replicates}
    assert {run.seed for run in before.replicates} <= seeds
    said = seesaw("confirm", "one", "--current", second, "--json")
    assert said.code == 0, said.err
    again = next(each for each in json.loads(said.out)["baselines"] if each["name"] == "current")
    assert again["replicates"] == 2
    assert again["metrics"] != current["metrics"]
