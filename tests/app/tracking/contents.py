"""What a store has of a run, in a form that can be compared."""

from pathlib import Path


def content(uri, run, folder, experiment="seesaw/quick"):
    """All runs of a run as {(kind, trial, replicate, until): [everything that does not tell when
    and where]}.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    at = client.get_experiment_by_name(experiment).experiment_id
    runs = client.search_runs([at], f"tags.`seesaw.run` = '{run}'", max_results=1000)
    parents = [each for each in runs if each.data.tags["seesaw.kind"] == "parent"]
    for parent in parents:
        runs += client.search_runs(
            [at], f"tags.`seesaw.parent` = '{parent.info.run_id}'", max_results=1000
        )
    by_id = {each.info.run_id: each for each in runs}
    keys = {i: _key(each.data.tags) for i, each in by_id.items()}
    found = {}
    for run_id, each in by_id.items():
        tags = {
            k: v.replace(f"experiments/{at}/runs/{run_id}", "here").replace(
                f"run_uuid={run_id}", "here"
            )
            for k, v in each.data.tags.items()
            if k not in ("mlflow.parentRunId", "seesaw.parent")
        }
        history = {
            m: sorted((p.step, p.value) for p in client.get_metric_history(run_id, m))
            for m in each.data.metrics
        }
        paths = sorted(item.path for item in client.list_artifacts(run_id))
        files = {
            p: Path(client.download_artifacts(run_id, p, str(folder))).read_bytes() for p in paths
        }
        inside = keys.get(each.data.tags.get("mlflow.parentRunId"))
        found.setdefault(keys[run_id], []).append(
            (each.info.status, inside, each.data.params, tags, history, files)
        )
    return found


def everything_once(found, records):
    assert all(len(runs) == 1 for runs in found.values())
    trials = {("trial", str(record.number), None, None) for record in records}
    replicates = {
        ("replicate", str(r.number), str(each.replicate), str(each.until or "none"))
        for r in records
        for each in r.replicates
    }
    assert set(found) == {("parent", None, None, None)} | trials | replicates


def _key(tags):
    kind, trial, replicate, until = (
        tags.get(f"seesaw.{name}") for name in ("kind", "trial", "replicate", "until")
    )
    return kind, trial, replicate, until if replicate else None
