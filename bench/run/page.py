"""A run's page: where it is, and what it shows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from bench.content import is_path
from bench.home import shown
from bench.report.page import write_page
from bench.report.view import View, with_verdict
from bench.results.within import area_table
from bench.run.commands import mlflow_search, stronger, train_command
from bench.run.folder import Run
from bench.run.picked import pick_config_path, picked_network
from bench.run.result import DatasetResult, picked_path


def page_path(run: Run) -> Path:
    """Where the run's page is."""
    return run.folder / "report.html"


def write_report(results: Sequence[DatasetResult], page: Path, title: str) -> None:
    """Writes a run's page, a section for each data set."""
    write_page([view_of(result) for result in results], page, title)


def view_of(result: DatasetResult) -> View:
    """What a page shows of a data set's part."""
    run = result.run.run
    manifest = run.manifest
    made = {
        "data set": result.run.key,
        "fingerprint": result.run.fingerprint or "-",
        "space": f"{manifest.space_name} ({run.space.digest()})",
        "sampler": manifest.suite.search.sampler,
        "rungs": _rungs(result),
        "seed": str(manifest.seed),
        "workers": f"{manifest.workers} x {manifest.threads} threads ({manifest.executor})",
        "started": manifest.created,
        "command": manifest.command,
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    commands = {"Train any trial": train_command(result), "Find a trial in MLflow": mlflow_search(result)}
    if picked_network(result):
        deploy = f"seesaw deploy {shlex.quote(shown(picked_path(result.run)))}"
        config = shlex.quote(shown(pick_config_path(result.run)))
        again = f"seesaw train {shlex.quote(result.run.key)} --config {config}"
        commands = {"Train it again": again, "Deploy it": deploy} | commands
    commands = {"Train stronger networks": stronger(result)} | commands
    served, pick = result.serving.served, result.pick
    return View(
        records=result.records,
        front=result.frontier,
        served=served if served is None or pick is None else with_verdict(served, pick, result.verdict),
        choices=result.choices,
        title=result.run.card.title,
        dataset=result.run.card.key,
        about=_about(result),
        run=run.name,
        verdict=result.verdict,
        current=result.current,
        pick=pick,
        no_pick=result.no_pick,
        policy=result.policy.toml,
        also=[*result.readings, *([result.frontier.answer.sentence] if result.frontier.answer else [])],
        commands=commands,
        made=made,
        incomplete=result.incomplete,
        areas=area_table(result.areas, result.frontier.table, str(result.run.card.group)),
    )


def _about(result: DatasetResult) -> str:
    """Data set, rows, suite and day. A suite or a card of the user's own has a path, which says nothing to a reader."""
    manifest = result.run.run.manifest
    facts = [result.run.card.key, f"{result.serving.rows:,} rows of test" if result.serving.rows else ""]
    facts += ["" if is_path(manifest.suite_name) else f"suite {manifest.suite_name}", manifest.created[:10]]
    return ", ".join(filter(None, facts))


def _rungs(result: DatasetResult) -> str:
    ladder = dict.fromkeys(rung.samples for record in result.records for rung in record.rungs)
    return ", ".join(f"{samples:,}" for samples in sorted(ladder)) + " samples" if ladder else "full length only"
