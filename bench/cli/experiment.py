"""`seesaw frontier --experiment`: a front read from MLflow alone."""

from __future__ import annotations

from pathlib import Path

from bench.cli.output import print_json, print_table, say
from bench.rows import REPLICATED


def show_experiment(experiment: str, tracking: str | None, json: bool, home: Path | None) -> None:
    """The merged front of an experiment's runs; see `bench.tracking.reading.frontier_of`."""
    from bench.home import resolve_home
    from bench.tracking import frontier_of

    table = frontier_of(experiment, tracking or f"sqlite:///{resolve_home(home) / 'mlflow.db'}")
    volumes = [
        {"dataset": dataset, "fingerprint": fingerprint, "value": value}
        for (dataset, fingerprint), value in table.attrs["hypervolume"].items()
    ]
    if json:
        points = [{k: v for k, v in row.items() if v == v} for row in table.to_dict("records")]
        print_json({"points": points, "hypervolumes": volumes, "notes": table.attrs["notes"]})
        return
    for of in volumes:
        front = table[(table["dataset"] == of["dataset"]) & (table["fingerprint"] == of["fingerprint"])]
        metrics = [name for name in front.dropna(axis=1, how="all") if str(name).split("/")[0] in REPLICATED]
        shown = [name for name in metrics if name.endswith(".mean")] or metrics
        columns = ["run", "trial", "architecture", *shown, "front.p_nondominated"]
        rows = front[columns].astype(object).where(front[columns].notna(), None).to_numpy().tolist()
        runs = len(set(front["run"]))
        print_table(columns, rows, f"frontier on {of['dataset']}, points of {runs} {'run' if runs == 1 else 'runs'}")
        say(f"hypervolume {of['value']:.6f}")
    for note in table.attrs["notes"]:
        say(note)
