"""A run with boosted trees also has a blend, from its log to its page; it stays as it is when the run is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.run.folder import Run
from bench.search.study import Study


@pytest.mark.slow
def test_a_blend_is_a_candidate_of_a_run(seesaw, shop, tmp_path: Path) -> None:
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


def test_a_blend_without_trees_is_refused(seesaw, shop) -> None:
    shop.edit(shop.suite, 'baselines = ["single_task"]', 'baselines = ["single_task", "blend"]')
    said = seesaw("run", shop.suite, "--raw", shop.raw)
    assert said.code == 2
    assert "expected trees beside blend" in said.err
