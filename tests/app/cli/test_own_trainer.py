"""A trainer of one's own from the command line and Python: searched, compared, handed over."""

import json

import numpy as np
import pandas as pd
import pytest

import bench
from bench.app.runs.folder import Run


def by_item(config, seed, train, rows):
    """Rates of an item, smoothed."""
    train = train.sample(frac=0.9, random_state=seed)
    predictions = {}
    for split, frame in rows.items():
        predictions[split] = {}
        for task in ("click", "buy"):
            sums = train[task].groupby(train["item"]).agg(["sum", "count"])
            rates = (sums["sum"] + config["prior"] * 0.3) / (sums["count"] + config["prior"])
            predictions[split][task] = frame["item"].map(rates).fillna(0.3)
    return predictions


PRIOR = {"type": "float", "low": 1.0, "high": 100.0, "default": 10.0, "log": True}


@pytest.mark.slow
def test_a_trainer_is_searched_beside_our_space_and_goes_on(shop, seesaw, trainer, tmp_path):
    options = ("--trainer", trainer, "--trials", "7", "--confirm", "kinds=true")
    shop.run(seesaw, "beside", *options)
    result = bench.load_run("beside", tmp_path / "home")
    trials = result.trials()
    assert {"counts", "shared_bottom", "single_task"} <= {*trials["sharing"]}
    assert not trials["failure"].any()
    assert trials["trainer.counts.by"].dropna().isin(["item", "user"]).all()
    assert "counts" in {*result.points()["architecture"]}
    shop.run(seesaw, "beside", "--trials", "8")
    assert len(bench.load_run("beside", tmp_path / "home").trials()) == 8


@pytest.mark.slow
def test_a_pick_of_a_trainer_is_handed_over_with_the_command_that_trains_it(
    shop, seesaw, trainer, tmp_path
):
    shop.run(seesaw, "alone", "--trainer", trainer, "--space", "none", "--trials", "3")
    said = seesaw("deploy", "alone", "--json")
    assert said.code == 0, said.err
    part = next(iter(Run.open(tmp_path / "home", "alone").datasets.values()))
    folder = part.folder / "handover"
    assert json.loads(said.out)["handover"] == str(folder.resolve())
    ranking = json.loads((folder / "ranking.json").read_text())
    assert {*ranking["calibrations"]} == {"click", "buy"}
    assert ranking["formula"] in (folder / "README.md").read_text()
    job = json.loads((folder / "job.json").read_text())
    assert {*job["config"]} == {"prior", "by"}
    assert len(pd.read_parquet(job["rows"]["train"])) > 0
    tested = seesaw("backtest", "alone", "--point", "1", "--cuts", "2", "--json")
    assert tested.code == 0, tested.err
    assert len(json.loads(tested.out)["points"]) > 0
    refused = seesaw("deploy", "alone", "--refresh")
    assert refused.code == 2
    assert "expected a model that comes with the package, found one of the trainer" in refused.err
    compared = seesaw("compare", "alone", "--by", "trainer")
    assert compared.code == 0, compared.err


@pytest.mark.slow
def test_functions_of_a_module_and_of_this_process_give_the_same_run(shop, tmp_path):
    log = pd.read_csv(shop.log)
    asked = {"suite": shop.suite, "trials": 3, "space": {"prior": PRIOR}, "home": tmp_path}
    data = {"labels": ["click", "buy"], "parents": {"buy": "click"}, "time": "day"}
    of_module = bench.run(log, trainer=by_item, name="module", executor="inline", **data, **asked)

    def here(config, seed, train, rows):
        return by_item(config, seed, train, rows)

    named = bench.Trainer(here, name="by_item", space={"prior": PRIOR})
    of_process = bench.run(log, trainer=named, name="here", **data, **(asked | {"space": "none"}))
    measured = [
        result.trials().filter(like="valid/").to_numpy() for result in (of_module, of_process)
    ]
    assert np.array_equal(*measured)
    with pytest.raises(bench.UserError, match="expected a function of a module"):
        bench.run(log, trainer=here, executor="process", **data, **asked)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--space", "none"], "--space none: expected --trainer beside it"),
        (["--trainer", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(shop, seesaw, options, reason, tmp_path):
    said = seesaw("run", shop.suite, "--raw", shop.raw, *options)
    assert said.code == 2
    assert reason in said.err
    assert not [*(tmp_path / "home").glob("runs/*")]


def test_two_trainers_of_one_name_are_refused(shop, seesaw, trainer):
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--trainer", f"{trainer},{trainer}")
    assert said.code == 2
    assert "expected a name of its own, found 'counts' a second time" in said.err


def test_a_trainer_that_fails_is_a_failed_trial_and_the_search_goes_on(shop, seesaw, trainer):
    (shop.folder / "train.py").write_text("raise SystemExit('no data')")
    options = ("--trainer", trainer, "--trials", "3", "--confirm", "replicates=0")
    shop.run(seesaw, "failing", *options)
    said = seesaw("status", "failing")
    assert "counts ended with code 1; its last line: no data" in " ".join(said.out.split())
