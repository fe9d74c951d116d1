"""A run keeps the predictions of every replicate, under names that its log leads to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.measure.predictions import FOLDER, KEPT, joined, name_of, predictions, rows_of
from bench.results.points import kept_names, points, sources_of
from bench.run.folder import Run
from bench.search.study import Study
from bench.testing.metrics import binary


@pytest.mark.slow
def test_a_run_keeps_every_replicates_predictions(seesaw, shop, tmp_path: Path) -> None:
    every = '["single_task", "equal_weights", "random_weights", "trees", "ensemble"]\nstatic = 2'
    shop.edit(shop.suite, 'baselines = ["single_task"]', f"baselines = {every}")
    said = seesaw("run", shop.suite, "--name", "kept", "--raw", shop.raw)
    assert said.code == 0, said.err
    [part] = Run.open(tmp_path / "home", "kept").datasets.values()
    study, folder = Study.read(part.folder), part.folder / FOLDER
    kept = [point for point in (*points(study.records(), study.objectives), *study.baselines()) if point.replicates]
    assert {point.kind for point in kept} >= {"trial", "trees", "ensemble", "equal_weights", "static_weights"}
    names = set()
    for point in kept:
        for run in point.replicates:
            names.add(name := name_of(point.training, run.replicate))
            for split in KEPT:
                rows, joint = rows_of(folder, split), predictions(folder, split, name)
                auc = [binary(rows.labels[:, at], joint[:, at], rows.group)["auc"] for at in range(2)]
                assert auc == [run.metrics[f"{split}/click.auc"], run.metrics[f"{split}/buy.ctcvr.auc"]]
    left = {path.name for path in folder.iterdir()} - {f"{name}.{split}.npy" for name in names for split in KEPT}
    assert left == {"rows.json"} | {f"{split}.{of}.npy" for split in KEPT for of in ("labels", "group", "units")}
    assert json.loads((folder / "rows.json").read_text())["seen"]["test"] == [len(rows.group)] * 2
    sources = sources_of(points(study.records(), study.objectives), study.objectives)
    own = kept_names(sources, rows.tasks, sources["click"].replicates[0].seed)
    assert np.isfinite(joined(folder, "test", own)).all()
    (part.folder / "served.json").unlink()  # drawn again
    for name in (f"{own[0]}.confirm.npy", "test.labels.npy"):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
        said = seesaw("frontier", "kept")
        assert (said.code, said.err.count("\n"), f"found {file} changed, cut or gone" in said.err) == (2, 1, True)
        file.write_bytes(whole)
    assert seesaw("frontier", "kept").code == 0
