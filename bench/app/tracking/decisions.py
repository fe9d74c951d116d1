"""A decision on a log as a run of MLflow: the verdict, what it gains, and all files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.app.tracking.store import MlflowStore, StoredRun
from bench.app.tracking.values import VERDICT, MetricValue
from bench.ledger.effect import Effect

EXPERIMENT = "seesaw decisions"


def log_decision(
    name: str, verdict: str, gains: Mapping[str, Effect], folder: Path, tracking: str, home: Path
) -> str:
    """Logs a decision's verdict, gains by outcome, and the files in `folder` as a new run; returns
    its id.

    A new experiment's files are in `home`, unless the store is a server. Raises TrackingError if it
    cannot be reached.
    """
    store = MlflowStore(tracking, home)
    tags = {"seesaw.kind": "decision", VERDICT: verdict, "mlflow.note.content": verdict}
    node = StoredRun.create(store, store.experiment(EXPERIMENT, make=True), name, tags)
    values = [
        MetricValue(f"gain/{outcome}{end}", number)
        for outcome, each in gains.items()
        for end, number in (("", each.value), (".low", each.low), (".high", each.high))
    ]
    node.send(values)
    node.ask("store files with", "log_artifacts", str(folder))
    node.set_status("FINISHED")
    return node.run_id
