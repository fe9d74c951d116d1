"""Runs that are over, as a new user sees them: compared, in a notebook."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

import bench
from bench.core.errors import UserError

pytestmark = pytest.mark.slow  # two runs are made first


def test_two_runs_are_compared(seesaw, two_runs: Path, tmp_path: Path) -> None:
    said = seesaw("compare", "balancers", "kinds", "--home", two_runs, home=None)
    assert said.code == 0, said.err
    assert re.search(r"^This run cannot say .* at least 7 are needed; `seesaw confirm ", said.out, re.M)
    page = tmp_path / "c.html"
    document = json.loads(
        seesaw(
            "compare", "balancers", "kinds", "--by", "run", "--out", page, "--json", "--home", two_runs, home=None
        ).out
    )
    [group] = document["groups"]
    assert [family["name"] for family in group["families"]] == ["balancers", "kinds"]
    assert group["runs"] == ["balancers", "kinds"]
    assert group["answer"]["verdict"] == "cannot say"
    assert {test["measure"] for test in group["tests"]} == {"click.auc", "purchase.ctcvr.auc", "hypervolume"}
    assert all(family["trials"] > 0 and family["training_samples"] > 0 for family in group["families"])
    text = page.read_text()
    assert "<script" not in text
    assert group["answer"]["sentence"].split(":")[0] in text


def test_one_metric_one_table(seesaw, two_runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    options = ["--by", "run", "--metric", "click.logloss", "--split", "confirm", "--out", file, "--home", two_runs]
    assert seesaw("compare", "balancers", "kinds", *options, home=None).code == 0
    rows = list(csv.DictReader(file.open()))
    assert {row["measure"]: row["unit"] for row in rows} == {
        "click.logloss": "logloss x 1000",
        "hypervolume": "hypervolume",
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--by", "colour"], "unknown kind of family 'colour'"),
        (["--split", "train"], "expected confirm or test, found 'train'"),
        (["--metric", "click.acu"], "unknown metric 'click.acu' (did you mean 'click.auc'?)"),
        (["--out", "c.xlsx"], "expected a file named .html or .csv, found 'c.xlsx'"),
        (["balancers"], "found 'balancers' twice"),
    ],
)
def test_mistakes_are_told(seesaw, two_runs: Path, options: list[str], words: str) -> None:
    said = seesaw("compare", "balancers", *options, "--home", two_runs, home=None)
    assert (said.code, words in said.err) == (2, True), said.err


def test_other_data_are_compared_apart(seesaw, two_runs: Path, tmp_path: Path) -> None:
    """Another fingerprint, as of data prepared otherwise."""
    home = shutil.copytree(two_runs, tmp_path / "home")
    [facts] = home.glob("runs/kinds/*/store.json")
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"fingerprint": "beef"}))
    document = json.loads(seesaw("compare", "balancers", "kinds", "--json").out)
    assert [group["runs"] for group in document["groups"]] == [["balancers"], ["kinds"]]
    assert "was prepared differently" in document["notes"][0]


def test_an_experiment_s_front_is_read_from_mlflow(seesaw, two_runs: Path) -> None:
    store = f"sqlite:///{two_runs / 'mlflow.db'}"
    assert seesaw("sync", "kinds", "--home", two_runs, home=None).code == 0  # on a busy machine, what was not sent
    document = json.loads(seesaw("frontier", "--experiment", "seesaw/kinds", "--tracking", store, "--json").out)
    own = json.loads(seesaw("frontier", "kinds", "--json", "--home", two_runs, home=None).out)
    assert document["hypervolumes"][0]["value"] == own["hypervolume"]["value"]
    on_front = {point["trial"] for point in own["points"] if point["role"] == "trial"}
    assert {point["trial"] for point in document["points"]} >= on_front  # MLflow has no baselines to compare with
    assert "hypervolume" in seesaw("frontier", "--experiment", "seesaw/kinds", "--tracking", store).out
    assert "expected a RUN or --experiment NAME, found neither" in seesaw("frontier").err


def test_all_cells_are_one_table_in_the_folder_in_a_notebook_in_mlflow_and_as_csv(
    seesaw, two_runs: Path, tmp_path: Path
) -> None:
    assert seesaw("sync", "kinds", "--home", two_runs, home=None).code == 0
    (path,) = (two_runs / "runs" / "kinds").glob("*/cells.parquet")
    kept, run = pd.read_parquet(path), bench.load_run("kinds", home=two_runs)
    assert set(kept["split"]) == {"valid", "confirm", "test"}

    def plain(table: pd.DataFrame) -> list[tuple]:
        table = table.fillna({"weights": ""}).astype(object)
        return list(table.where(table.notna(), None).itertuples(index=False))

    assert plain(kept) == plain(run.cells())
    (place,) = json.loads((two_runs / "runs" / "kinds" / "mlflow.json").read_text()).values()
    client = MlflowClient(f"sqlite:///{two_runs / 'mlflow.db'}")
    sent = Path(client.download_artifacts(place[1], "cells.parquet", str(tmp_path)))
    assert sent.read_bytes() == path.read_bytes()
    said = seesaw("frontier", "kinds", "--csv", tmp_path / "new" / "cells.csv", "--home", two_runs, home=None)
    assert said.code == 0, said.err
    read = pd.read_csv(tmp_path / "new" / "cells.csv", dtype={"point": str}, float_precision="round_trip")
    assert set(read.pop("dataset")) == {run.run.datasets[run.datasets[0]].key}
    assert plain(read[list(kept)]) == plain(kept)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["kinds", "--csv", "file/below.csv"], "a folder"),
        (["kinds", "--csv", "."], "Is a directory"),
        (["--experiment", "seesaw/kinds", "--csv", "a.csv"], "--csv: expected a RUN beside it, found --experiment"),
    ],
)
def test_cells_that_cannot_be_written_are_refused(
    seesaw, two_runs: Path, tmp_path: Path, monkeypatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    said = seesaw("frontier", *options, "--home", two_runs, home=None)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.err
    assert words in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_where_no_point_passes_all_say_what_would_be_picked_and_with_which_guard(
    seesaw, two_runs: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(two_runs, tmp_path / "home")
    folder = home / "runs" / "kinds"
    part = next(folder.glob("*/picked.json")).parent
    manifest = json.loads((folder / "run.json").read_text())
    manifest["suite"]["policy"] = {"guard": {"at_least": {"click.auc": 0.999}}}
    (folder / "run.json").write_text(json.dumps(manifest))
    said = seesaw("pick", "kinds", "--save")
    assert said.code == 0
    assert said.out.startswith("no pick: nothing passes the guard; the nearest is ")
    assert said.out.strip() in seesaw("frontier", "kinds").out
    document = json.loads((part / "picked.json").read_text())
    assert document == json.loads(seesaw("pick", "kinds", "--json").out)
    assert document == json.loads(seesaw("frontier", "kinds", "--json").out)["pick"]
    assert document["trial"] is None
    assert document["reason"] in said.out
    assert not (part / "picked.toml").exists()  # of the pick that there was
    assert "No pick" in Path(seesaw("report", "kinds").out.strip()).read_text()
    for target in ("kinds", part / "picked.json"):
        refused = seesaw("deploy", target, "--dry-run")
        assert (refused.code, "nothing passes the guard" in refused.err) == (2, True)
    (tmp_path / "policy.toml").write_text("\n".join(document["if_guard"]["set"]))
    picked = json.loads(seesaw("pick", "kinds", "--policy", tmp_path / "policy.toml", "--json").out)
    assert picked.pop("save").endswith(" --save")
    same = {"answer": document["answer"], **{key: picked[key] for key in ("policy", "verdict")}}
    assert picked == document["if_guard"]["pick"] | same
    assert f"the nearest is {picked['name']} " in document["reason"]


def test_without_the_extra_a_pick_is_deployed_without_onnx(seesaw, two_runs: Path, monkeypatch) -> None:
    asked = []

    def make_package(*arguments: object) -> None:
        asked.append(arguments[-1])
        raise UserError("enough seen")

    monkeypatch.setattr("bench.run.deploy.make_package", make_package)
    monkeypatch.setattr("bench.production.engines.find_spec", lambda name: None if name == "onnxscript" else name)
    said = seesaw("deploy", "kinds", home=two_runs)
    assert said.err.splitlines()[-2:] == [  # after how often the pick holds
        "the package will have no model in ONNX: onnxscript is not installed; in the checkout, "
        "pip install '.[serve]' adds it",
        "seesaw: enough seen",
    ]
    monkeypatch.setattr("bench.production.engines.find_spec", lambda name: name)
    assert seesaw("deploy", "kinds", home=two_runs).err == seesaw("deploy", "kinds", "--no-onnx", home=two_runs).err
    assert asked == [False, True, False]


def test_a_notebook_has_tables_and_figures(two_runs: Path) -> None:
    run = bench.load_run(two_runs / "runs" / "kinds")
    assert bench.load_run("kinds", home=two_runs).run.folder == run.run.folder
    assert run.frontier()["on_front"].all()
    assert run.points()["on_front"].sum() == len(run.frontier())
    trials = run.trials()
    assert set(trials["state"]) == {"completed"}
    assert {"valid/click.auc", "sharing.kind", "seconds"} <= set(trials)
    cells = run.cells()
    assert not cells.duplicated(["front", "point", "kind", "weights", "split", "slice", "measure"]).any()
    assert set(cells[cells["front"] == "heads"]["point"]) <= set(run.points()["point"])
    replicates = run.replicates()
    assert set(replicates["trial"]) <= set(trials["trial"])
    assert replicates["test/click.auc"].notna().any()
    assert all(run.figure(name).svg.startswith("<svg ") for name in ("front", "heads"))
    picked = run.pick()
    assert picked.trial in {*trials["trial"], None}
    assert (picked.trial is None) == (picked.role == "baseline")
