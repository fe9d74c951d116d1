"""A run that is over, as a new user sees it: through MLflow, in a notebook, with a guard that nothing passes."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

import bench

pytestmark = pytest.mark.slow  # a run is made first


def test_an_experiment_s_front_is_read_from_mlflow(seesaw, small_run):
    store = f"sqlite:///{small_run / 'mlflow.db'}"
    assert seesaw("sync", "kinds", "--home", small_run, home=None).code == 0  # on a busy machine, what was not sent
    document = json.loads(seesaw("frontier", "--experiment", "seesaw/kinds", "--tracking", store, "--json").out)
    own = json.loads(seesaw("frontier", "kinds", "--json", "--home", small_run, home=None).out)
    assert document["hypervolumes"][0]["value"] == own["hypervolume"]["value"]
    on_front = {point["trial"] for point in own["points"] if point["role"] == "trial"}
    assert {point["trial"] for point in document["points"]} >= on_front  # MLflow has no baselines to compare with
    assert "hypervolume" in seesaw("frontier", "--experiment", "seesaw/kinds", "--tracking", store).out
    assert "expected a RUN or --experiment NAME, found neither" in seesaw("frontier").err


def test_all_cells_are_one_table_in_the_folder_in_a_notebook_in_mlflow_and_as_csv(seesaw, small_run, tmp_path):
    assert seesaw("sync", "kinds", "--home", small_run, home=None).code == 0
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
    said = seesaw("frontier", "kinds", "--csv", tmp_path / "new" / "cells.csv", "--home", small_run, home=None)
    assert said.code == 0, said.err
    read = pd.read_csv(tmp_path / "new" / "cells.csv", dtype={"point": str}, float_precision="round_trip")
    assert set(read.pop("dataset")) == {*run.run.datasets}
    assert plain(read[list(kept)]) == plain(kept)


def test_where_no_point_passes_all_say_what_would_be_picked_and_with_which_guard(seesaw, small_run, tmp_path):
    home = shutil.copytree(small_run, tmp_path / "home")
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
