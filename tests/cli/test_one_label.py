"""A data set of one label, from the card to the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def one_label(shop) -> None:
    shop.edit(shop.card, '[[tasks]]\nname = "buy"\ncolumn = "buy"\nparent = "click"\n', "")
    shop.edit(shop.card, 'post_exposure = ["dwell"]', 'post_exposure = ["dwell", "buy"]')
    shop.edit(shop.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', 'objectives = ["click.auc"]')
    shop.edit(shop.suite, "trials = 6", "trials = 3")


@pytest.mark.slow
def test_a_run_of_one_label_ends_with_all_that_a_run_has(seesaw, shop, tmp_path: Path) -> None:
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
