"""Reads fronts back from MLflow alone: no run folder, no storage of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.tracking.diagnosis import ALL
from bench.tracking.node import Node
from bench.tracking.store import Store, TrackingError

LEFT_OUT = ("curve/", f"{ALL}/")
ON_FRONT = "tags.`seesaw.kind` = 'trial' and tags.`front.on_front` = 'true'"


def frontier_of(experiment: str, uri: str) -> pd.DataFrame:
    """The points of all fronts in an experiment, by data set, run and trial.

    Columns: `run, dataset, space, trial, architecture, picked, run_id`, then metrics and costs under their names
    (`valid/income.auc`, `valid/income.auc.mean`, ...) and the configuration under its dotted names, as text. An
    experiment holds a front for each run of its suite and each data set.

    Raises:
        UserError: no such experiment.
        TrackingError: there is no such store, or it cannot be reached.
    """
    scheme, _, file = uri.partition(":///")
    if scheme == "sqlite" and not Path(file).is_file():  # MLflow would make one
        raise TrackingError(f"there is no MLflow store at {uri}")
    store = Store.connect(uri)
    rows = [_row(node) for node in Node.search(store, store.experiment(experiment), ON_FRONT)]
    fixed = ["run", "dataset", "space", "trial", "architecture", "picked", "run_id"]
    rest = dict.fromkeys(name for row in rows for name in row if name not in fixed)
    table = pd.DataFrame(rows, columns=[*fixed, *rest])
    return table.sort_values(["dataset", "run", "trial"], ignore_index=True)


def _row(node: Node) -> dict[str, Any]:
    tags = node.tags
    return {
        "run": tags["seesaw.run"],
        "dataset": tags["seesaw.dataset"],
        "space": tags["seesaw.space"],
        "trial": int(tags["seesaw.trial"]),
        "architecture": tags["seesaw.architecture"],
        "picked": tags["seesaw.picked"] == "true",
        "run_id": node.run_id,
        **{name: value for name, value in sorted(node.metrics.items()) if not name.startswith(LEFT_OUT)},
        **dict(sorted(node.params.items())),
    }
