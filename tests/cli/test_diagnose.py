"""`seesaw diagnose` on a small search of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.results.diagnosis import numbers


@pytest.mark.slow
def test_a_run_records_diagnoses_and_tells_them(seesaw, shop, monkeypatch, tmp_path: Path) -> None:
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
    assert every[2] == json.loads(seesaw("diagnose", "a", 2, "--json").out)
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


def test_train_gives_the_diagnosis(seesaw, shop) -> None:
    said = seesaw("train", shop.card, "--raw", shop.raw, "--set", "optim.epochs=1", "--json")
    assert set(json.loads(said.out)["diagnosis"]) >= {"probes", "tasks", "pairs", "experts", "course"}
