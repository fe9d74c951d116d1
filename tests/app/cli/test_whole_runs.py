"""Whole runs of one kind or another, from the suite to all that they leave, and to who reads it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from in_memory import binary
from mlflow import MlflowClient

import bench
from bench.app.runs.folder import Run
from bench.core.objectives import key_on
from bench.ledger.diagnosis import numbers
from bench.ledger.points import kept_names, points, sources_of
from bench.measure.predictions import FOLDER, KEPT, joined, name_of, predictions, read_rows
from bench.search.study import Study

pytestmark = pytest.mark.slow


def one_label(shop):
    shop.edit(shop.card, '[[tasks]]\nname = "buy"\ncolumn = "buy"\nparent = "click"\n', "")
    shop.edit(shop.card, 'post_exposure = ["dwell"]', 'post_exposure = ["dwell", "buy"]')
    shop.edit(
        shop.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', 'objectives = ["click.auc"]'
    )
    shop.edit(shop.suite, "trials = 6", "trials = 3")


def test_a_run_of_one_label_ends_with_all_that_a_run_has(seesaw, shop, tmp_path):
    one_label(shop)
    said = seesaw(
        "run", shop.suite, "--raw", shop.raw, "--name", "one", "--executor", "inline", "--json"
    )
    assert said.code == 0, said.err
    shown = seesaw("show", "one", "--json")
    assert shown.code == 0, shown.err
    baselines = {each["name"]: each["replicates"] for each in json.loads(shown.out)["baselines"]}
    assert baselines["single_task"] >= 2  # none, where its replicates failed
    for command in ("status", "pick", "show", "diagnose", "compare"):
        said = seesaw(command, "one")
        assert said.code == 0, (command, said.err)
    assert "one task needs no balancing" in seesaw("compare", "one").out
    assert next(tmp_path.rglob("report.html")).is_file()
    deployed = seesaw("deploy", "one", "--json")
    assert deployed.code == 0, deployed.err
    assert json.loads(deployed.out)["package"]


NAMES = ("click.auc", "buy.ctcvr.auc", "cost/parameters", "click.logloss", "cost/latency_ms")
WORST = (0.0, 0.0, 1e5, 9.0, 1e5)


def test_a_run_over_metrics_and_costs_ends_with_a_front_that_nobody_beats(seesaw, shop, tmp_path):
    reference = ", ".join(f'"{name}" = {value}' for name, value in zip(NAMES, WORST, strict=True))
    asked = f"objectives = {json.dumps(NAMES)}\nreference = {{ {reference} }}"
    shop.edit(shop.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', asked)
    shop.edit(shop.suite, "[confirm]", "[policy.guard]\nmax_loss_vs_current = inf\n[confirm]")
    document = shop.run(seesaw, "a", "--trials", 4)
    assert document["hypervolume"]["value"] > 0
    assert "hypervolume of the front of heads" in (tmp_path / "home/runs/a/report.html").read_text()
    signs = {
        key_on(name, "confirm"): -1 if "cost" in name or "logloss" in name else 1 for name in NAMES
    }
    values = [
        [sign * point["metrics"][key] for key, sign in signs.items()]
        for point in document["points"]
    ]
    assert not any(
        a != b and all(x >= y for x, y in zip(a, b, strict=True)) for a in values for b in values
    )


def test_a_run_of_all_baselines_keeps_every_replicates_predictions(seesaw, shop, tmp_path):
    every = (
        '["single_task", "equal_weights", "random_weights", "trees", "ensemble", '
        '"blend"]\nstatic = 2'
    )
    shop.edit(shop.suite, 'baselines = ["single_task"]', f"baselines = {every}")
    document = shop.run(seesaw, "kept")
    names = [baseline["name"] for baseline in document["baselines"]]
    assert names[:6] == [
        "single_task",
        "equal_weights",
        "random_weights",
        "trees",
        "ensemble",
        "blend",
    ]
    [part] = Run.open(tmp_path / "home", "kept").datasets.values()
    study, folder = Study.read(part.folder), part.folder / FOLDER
    kept = [
        point
        for point in (*points(study.records(), study.objectives), *study.baselines())
        if point.replicates
    ]
    assert {point.kind for point in kept} >= {
        "trial",
        "trees",
        "ensemble",
        "equal_weights",
        "static_weights",
        "blend",
    }
    [blend] = [each for each in kept if each.kind == "blend"]
    assert {"blend.network", "blend.trees", "blend.share.click", "blend.share.buy"} <= {
        *blend.config
    }
    assert all(len(each.resampled["test/click.auc"]) > 1 for each in blend.replicates)
    names = set()
    for point in kept:
        for run in point.replicates:
            names.add(name := name_of(point.training, run.replicate))
            for split in KEPT:
                rows, joint = read_rows(folder, split), predictions(folder, split, name)
                auc = [
                    binary(rows.labels[:, at], joint[:, at], rows.group)["auc"] for at in range(2)
                ]
                assert auc == [
                    run.metrics[f"{split}/click.auc"],
                    run.metrics[f"{split}/buy.ctcvr.auc"],
                ]
    left = {path.name for path in folder.iterdir()} - {
        f"{name}.{split}.npy" for name in names for split in KEPT
    }
    assert left == {"rows.json"} | {
        f"{split}.{of}.npy" for split in KEPT for of in ("labels", "group", "units")
    }
    assert json.loads((folder / "rows.json").read_text())["seen"]["test"] == [len(rows.group)] * 2
    sources = sources_of(points(study.records(), study.objectives), study.objectives)
    own = kept_names(sources, rows.tasks, sources["click"].replicates[0].seed)
    assert np.isfinite(joined(folder, "test", own)).all()
    (part.folder / "served.json").unlink()  # drawn again
    for name in (f"{own[0]}.confirm.npy", "test.labels.npy"):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
        said = seesaw("show", "kept")
        assert (
            said.code,
            said.err.count("\n"),
            f"found {file} changed, cut or gone" in said.err,
        ) == (2, 1, True)
        file.write_bytes(whole)
    assert seesaw("show", "kept", "--csv", tmp_path / "cells.csv").code == 0
    assert "blend of a network and trees" in (tmp_path / "cells.csv").read_text()
    log = (part.folder / "study.jsonl").read_bytes()
    assert seesaw("run", "kept").code == 0
    assert (part.folder / "study.jsonl").read_bytes() == log


CURRENT = """
[config]
"sharing.kind" = "shared_bottom"
"optim.batch_size" = 64
"embedding.dim" = 4
"optim.lr" = {lr}
[score]
weights = {{ click = 1, buy = 1 }}
"""


def current_in(document):
    [found] = [each for each in document["baselines"] if each["name"] == "current"]
    assert found["replicates"] == 2
    return found


def test_a_run_tells_diagnoses_and_its_current_model_is_a_baseline_that_may_change(
    seesaw, shop, monkeypatch, tmp_path
):
    monkeypatch.setattr("bench.models.training.probes.interval", lambda total, batch, tasks: 4)
    shop.edit(shop.suite, "trials = 6", "trials = 3")
    (tmp_path / "a.toml").write_text(CURRENT.format(lr=0.004))
    current = current_in(shop.run(seesaw, "a", "--current", tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_text(CURRENT.format(lr=0.008))  # the run keeps what it said
    part = next(iter(Run.open(tmp_path / "home", "a").datasets.values()))
    [before] = [each for each in Study.read(part.folder).baselines() if each.kind == "current"]
    assert before.config["optim.lr"] == 0.004
    seeds = {run.seed for record in Study.read(part.folder).records() for run in record.replicates}
    assert {run.seed for run in before.replicates} <= seeds

    every = json.loads(seesaw("diagnose", "a", "--all", "--json").out)["trials"]
    assert [one["trial"] for one in every] == [0, 1, 2]
    for number, one in enumerate(every):
        assert one["diagnosis"]["probes"] == 4  # 16 steps
        assert set(one["diagnosis"]["course"]) == {"click.auc", "buy.ctcvr.auc"}
        assert one | {"drift": []} == json.loads(seesaw("diagnose", "a", number, "--json").out) | {
            "drift": []
        }
    told = seesaw("diagnose", "a", "--all").out
    assert [line.split()[1] for line in told.splitlines() if line.startswith("trial ")] == [
        "0",
        "1",
        "2",
    ]
    assert "either a trial or --all" in seesaw("diagnose", "a", 1, "--all").err
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("seesaw/shop").experiment_id
    runs = client.search_runs(
        [experiment], "metrics.`diagnosis/probes` = 4 and tags.`seesaw.kind` = 'trial'"
    )
    assert len(runs) == 3
    for logged in runs:
        own = numbers(every[int(logged.data.tags["seesaw.trial"])]["diagnosis"])
        assert (
            logged.data.metrics.items()
            >= {f"diagnosis/{name}": value for name, value in own.items()}.items()
        )

    again = json.loads(seesaw("run", "a", "--current", tmp_path / "a.toml", "--json").out)
    assert current_in(again)["metrics"] != current["metrics"]


def test_an_experiment_s_front_is_read_from_mlflow(seesaw, small_run):
    store = f"sqlite:///{small_run / 'mlflow.db'}"
    # on a busy machine, what was not sent
    assert seesaw("status", "kinds", "--sync", "--home", small_run, home=None).code == 0
    document = json.loads(
        seesaw("show", "--experiment", "seesaw/kinds", "--tracking", store, "--json").out
    )
    own = json.loads(seesaw("show", "kinds", "--json", "--home", small_run, home=None).out)
    assert document["hypervolumes"][0]["value"] == own["hypervolume"]["value"]
    on_front = {point["trial"] for point in own["points"] if point["role"] == "trial"}
    assert {
        point["trial"] for point in document["points"]
    } >= on_front  # MLflow has no baselines to compare with
    assert "hypervolume" in seesaw("show", "--experiment", "seesaw/kinds", "--tracking", store).out
    assert "expected a RUN or --experiment NAME, found neither" in seesaw("show").err


def test_all_cells_are_one_table_in_the_folder_in_a_notebook_in_mlflow_and_as_csv(
    seesaw, small_run, tmp_path
):
    assert seesaw("status", "kinds", "--sync", "--home", small_run, home=None).code == 0
    (path,) = (small_run / "runs" / "kinds").glob("*/cells.parquet")
    kept, run = pd.read_parquet(path), bench.load_run("kinds", home=small_run)
    assert set(kept["split"]) == {"valid", "confirm", "test"}

    def plain(table):
        table = table.fillna({"weights": ""}).astype(object)
        return list(table.where(table.notna(), None).itertuples(index=False))

    assert plain(kept) == plain(run.cells())
    (place,) = json.loads((small_run / "runs" / "kinds" / "mlflow.json").read_text()).values()
    client = MlflowClient(f"sqlite:///{small_run / 'mlflow.db'}")
    sent = Path(client.download_artifacts(place[1], "cells.parquet", str(tmp_path)))
    assert sent.read_bytes() == path.read_bytes()
    said = seesaw(
        "show", "kinds", "--csv", tmp_path / "new" / "cells.csv", "--home", small_run, home=None
    )
    assert said.code == 0, said.err
    read = pd.read_csv(
        tmp_path / "new" / "cells.csv", dtype={"point": str}, float_precision="round_trip"
    )
    assert set(read.pop("dataset")) == {*run.run.datasets}
    assert plain(read[list(kept)]) == plain(kept)


def test_where_no_point_passes_all_say_what_would_be_picked_and_with_which_guard(
    seesaw, small_run, tmp_path
):
    home = shutil.copytree(small_run, tmp_path / "home")
    folder = home / "runs" / "kinds"
    part = next(folder.glob("*/picked.json")).parent
    manifest = json.loads((folder / "run.json").read_text())
    manifest["suite"]["policy"] = {"guard": {"at_least": {"click.auc": 0.999}}}
    (folder / "run.json").write_text(json.dumps(manifest))
    said = seesaw("pick", "kinds", "--save")
    assert said.code == 0
    assert said.out.startswith("no pick: nothing passes the guard; the nearest is ")
    assert said.out.strip() in seesaw("show", "kinds").out
    document = json.loads((part / "picked.json").read_text())
    assert document == json.loads(seesaw("pick", "kinds", "--json").out)
    assert document == json.loads(seesaw("show", "kinds", "--json").out)["pick"]
    assert document["trial"] is None
    assert document["reason"] in said.out
    assert not (part / "picked.toml").exists()  # of the pick that there was
    assert "No pick" in (folder / "report.html").read_text()  # --save writes it anew
    for target in ("kinds", part / "picked.json"):
        refused = seesaw("deploy", target, "--dry-run")
        assert (refused.code, "nothing passes the guard" in refused.err) == (2, True)
    (tmp_path / "policy.toml").write_text("\n".join(document["if_guard"]["set"]))
    picked = json.loads(seesaw("pick", "kinds", "--policy", tmp_path / "policy.toml", "--json").out)
    assert picked.pop("save").endswith(" --save")
    same = {"answer": document["answer"], **{key: picked[key] for key in ("policy", "verdict")}}
    assert picked == document["if_guard"]["pick"] | same
    assert f"the nearest is {picked['name']} " in document["reason"]
