"""`seesaw diagnose` on a small search of one's own."""

from __future__ import annotations

import json
from pathlib import Path


def test_a_run_records_diagnoses_and_tells_them(seesaw, shop, monkeypatch) -> None:
    monkeypatch.setattr("bench.training.diagnosis.diagnosis.interval", lambda total, batch, tasks: 4)
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
    page = json.loads(seesaw("report", "a", "--json").out)["page"]
    assert document["sentences"][0] in Path(page).read_text(encoding="utf-8")


def test_a_trial_that_is_not_there_is_a_mistake(seesaw, shop) -> None:
    shop.edit(shop.suite, "trials = 6", "trials = 2")
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", "inline", "--json")
    assert said.code == 0, said.err
    said = seesaw("diagnose", "a", 99)
    assert said.code == 2
    assert "found 99" in said.err


def test_train_gives_the_diagnosis(seesaw, shop) -> None:
    said = seesaw("train", shop.card, "--raw", shop.raw, "--set", "optim.epochs=1", "--json")
    assert set(json.loads(said.out)["diagnosis"]) >= {"probes", "tasks", "pairs", "experts", "course"}
