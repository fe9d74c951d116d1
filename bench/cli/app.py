"""All commands in one place; each lives in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import __version__, plugins
from bench.cli import (
    board,
    card,
    compare,
    datasets,
    deploy,
    diagnose,
    doctor,
    evaluate,
    history,
    latency,
    results,
    run,
    score,
    spaces,
    suites,
    sync,
    synth,
    train,
)

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


app.command("datasets")(datasets.datasets)
app.command("card")(card.card)
app.command("prepare")(datasets.prepare_command)
app.command("spaces")(spaces.spaces)
app.command("suites")(suites.suites)
app.command("synth")(synth.synth)
app.command("train")(train.train)
app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("confirm")(run.confirm)
app.command("sync")(sync.sync)
app.command("status")(results.status)
app.command("frontier")(results.frontier_command)
app.command("report")(results.report)
app.command("pick")(results.pick_command)
app.command("deploy")(deploy.deploy)
app.command("history")(history.history)
app.command("score")(score.score)
app.command("latency")(latency.latency)
app.command("evaluate")(evaluate.evaluate)
app.command("diagnose")(diagnose.diagnose)
app.command("compare")(compare.compare)
app.command("board")(board.board)
app.command("doctor")(doctor.doctor)
