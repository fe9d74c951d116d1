"""What a store has of a run, in a form that can be compared."""

from pathlib import Path


def content(uri, run, folder, experiment="seesaw/quick"):
    """All runs of a run as {(kind, trial, replicate, until): [everything that does not tell when
    and where]}.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    runs = client.search_runs([experiment_id], f"tags.`seesaw.run` = '{run}'", max_results=1000)
    parents = [stored for stored in runs if stored.data.tags["seesaw.kind"] == "parent"]
    for parent in parents:
        runs += client.search_runs(
            [experiment_id], f"tags.`seesaw.parent` = '{parent.info.run_id}'", max_results=1000
        )
    by_id = {stored.info.run_id: stored for stored in runs}
    keys = {i: _key(stored.data.tags) for i, stored in by_id.items()}
    contents = {}
    for run_id, stored in by_id.items():
        tags = {
            k: v.replace(f"experiments/{experiment_id}/runs/{run_id}", "here").replace(
                f"run_uuid={run_id}", "here"
            )
            for k, v in stored.data.tags.items()
            if k not in ("mlflow.parentRunId", "seesaw.parent")
        }
        history = {
            m: sorted((p.step, p.value) for p in client.get_metric_history(run_id, m))
            for m in stored.data.metrics
        }
        paths = sorted(item.path for item in client.list_artifacts(run_id))
        files = {
            p: Path(client.download_artifacts(run_id, p, str(folder))).read_bytes() for p in paths
        }
        inside = keys.get(stored.data.tags.get("mlflow.parentRunId"))
        contents.setdefault(keys[run_id], []).append(
            (stored.info.status, inside, stored.data.params, tags, history, files)
        )
    return contents


def everything_once(contents, records):
    assert all(len(runs) == 1 for runs in contents.values())
    trials = {("trial", str(record.number), None, None) for record in records}
    replicates = {
        ("replicate", str(r.number), str(replicate.replicate), str(replicate.until or "none"))
        for r in records
        for replicate in r.replicates
    }
    assert set(contents) == {("parent", None, None, None)} | trials | replicates


def _key(tags):
    kind, trial, replicate, until = (
        tags.get(f"seesaw.{name}") for name in ("kind", "trial", "replicate", "until")
    )
    return kind, trial, replicate, until if replicate else None
