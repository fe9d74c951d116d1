"""All commands in one place; each lives in the module of its group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import __version__, plugins
from bench.cli import data, doctor, models, results, run, runs, suites

app = typer.Typer(
    name="seesaw",
    help="Find the trade-off frontier of multi-task recommenders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seesaw {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    plugin: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.py", help="Python file with entries of your own; see docs/plugins.md."),
    ] = None,
) -> None:
    """Find the trade-off frontier of multi-task recommenders."""
    plugins.add(*map(plugins.PluginFile.read, plugin or ()))


app.command("datasets")(data.datasets)
app.command("card")(data.card)
app.command("prepare")(data.prepare_command)
app.command("spaces")(suites.spaces)
app.command("suites")(suites.suites)
app.command("synth")(data.synth)
app.command("train")(run.train)
app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("confirm")(run.confirm)
app.command("sync")(run.sync)
app.command("status")(results.status)
app.command("frontier")(results.frontier_command)
app.command("report")(results.report)
app.command("pick")(results.pick_command)
app.command("deploy")(models.deploy)
app.command("history")(models.history)
app.command("score")(models.score)
app.command("latency")(models.latency)
app.command("evaluate")(models.evaluate)
app.command("diagnose")(results.diagnose)
app.command("compare")(runs.compare)
app.command("board")(runs.board)
app.command("publish")(runs.publish)
app.command("doctor")(doctor.doctor)
