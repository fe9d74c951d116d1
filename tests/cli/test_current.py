"""`--current FILE`: trained with the care of every point, and told beside the baselines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.run.folder import Run
from bench.search.study import Study

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


def write(file: Path, lr: float) -> Path:
    file.write_text(CONFIG.format(lr=lr))
    return file


@pytest.mark.slow
def test_it_is_confirmed_like_a_baseline_and_may_change(seesaw, shop, tmp_path: Path) -> None:
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
