"""All commands in one place; each lives in the module of its group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench import __version__
from bench.app.cli import (
    backtest,
    data,
    decide,
    doctor,
    export,
    models,
    plan,
    results,
    run,
    runs,
    suites,
)
from bench.app.cli.options import answered
from bench.app.cli.output import CommandOutput
from bench.core import plugins

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
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.py",
            help="Python file with entries of your own, beside $SEESAW_PLUGIN; "
            "see docs/plugins.md.",
        ),
    ] = None,
) -> None:
    """Find the trade-off frontier of multi-task recommenders."""
    plugins.add(*map(plugins.PluginFile.read, plugin or ()))


COMMANDS: dict[str, Callable[..., CommandOutput]] = {
    "datasets": data.datasets,
    "card": data.card,
    "prepare": data.prepare_command,
    "spaces": suites.spaces,
    "suites": suites.suites,
    "synth": data.synth,
    "train": run.train,
    "decide": decide.decide,
    "run": run.run,
    "resume": run.resume,
    "confirm": run.confirm,
    "sync": run.sync,
    "status": results.status,
    "frontier": results.frontier_command,
    "report": results.report,
    "pick": results.pick_command,
    "export": export.export,
    "backtest": backtest.backtest,
    "plan": plan.plan,
    "deploy": models.deploy,
    "history": models.history,
    "score": models.score,
    "latency": models.latency,
    "evaluate": models.evaluate,
    "explain": models.explain,
    "diagnose": results.diagnose,
    "compare": runs.compare,
    "doctor": doctor.doctor,
}
"""In the order of `seesaw --help`."""
for _name, _command in COMMANDS.items():
    app.command(_name)(answered(_command))
