from __future__ import annotations

import json

import pytest

from bench.system import content


def test_every_space_is_listed_with_its_size(seesaw) -> None:
    listed = json.loads(seesaw("spaces", "--json", home=None).out)["spaces"]
    assert [one["name"] for one in listed] == content.names("search_spaces")
    assert all(one["size"]["discrete"] > 1 and one["size"]["continuous"] for one in listed)
    said = seesaw("spaces", home=None)
    assert said.code == 0, said.err
    assert "wide" in said.out
    assert "infinite: " in said.out


def test_a_space_is_shown_with_branches_defaults_and_what_is_left_out(seesaw) -> None:
    said = seesaw("spaces", "losses", "--dataset", "census-income", home=None)
    assert said.code == 0, said.err
    assert "loss.kind: log, focal" in said.out
    assert "by default log" in said.out
    assert "loss.focal.gamma" in said.out
    assert "balancing.static.weight.never_married" in said.out
    assert "left out: loss.kind = bpr: the card names no group" in said.out
    shown = json.loads(seesaw("spaces", "balancing", "--dataset", "kuairand-pure", "--json", home=None).out)
    assert shown["left_out"] == {}
    assert "cagrad" in shown["branches"]["balancing.kind"]
    assert shown["defaults"]["balancing.kind"] == "static"
    assert shown["tasks"] == ["click", "long_view", "like"]


def test_a_parameter_of_several_branches_is_shown_once(seesaw) -> None:
    shown = json.loads(seesaw("spaces", "quick", "--json", home=None).out)
    (row,) = [row for row in shown["parameters"] if row["name"] == "balancing.cagrad.c"]
    assert row["when"] == {
        "sharing.kind": "shared_embeddings|shared_bottom|mmoe|ple",
        "balancing.kind": "cagrad",
    }


@pytest.mark.slow
def test_status_says_what_is_left_out(seesaw) -> None:
    named = ("--dataset", "synthetic-funnel@rows=2000", "--name", "left", "--trials", "1", "--executor", "inline")
    assert seesaw("run", "quick", "--space", "losses", "--set", "optim.epochs=1", *named).code == 0
    found = json.loads(seesaw("status", "left", "--json").out)["datasets"]["synthetic-funnel@rows=2000"]
    kinds = ("huber", "weighted_logistic", "quantile", "bins")
    assert set(found["left_out"]) == {f"regression_loss.kind = {kind}" for kind in kinds}
    assert "left out: regression_loss.kind = huber: no task is a regression" in seesaw("status", "left").out


def test_every_suite_is_listed_with_its_data_and_budget(seesaw) -> None:
    listed = json.loads(seesaw("suites", "--json", home=None).out)["suites"]
    assert [one["name"] for one in listed] == content.names("reports")
    by_name = {one["name"]: one for one in listed}
    assert by_name["quick"]["datasets"] == ["census-income"]
    not_fetched = {name for name, one in by_name.items() if not one["fetched"]}
    assert not_fetched == {"ali-ccp", "aliexpress", "reference", "tenrec"}
    assert "--raw DIR" in seesaw("suites", home=None).out
