"""All commands in one place; each lives in the module of its group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench import __version__
from bench.app.cli import card_drafts, deployed, inventory, logs, results, running, switching
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
    "datasets": inventory.datasets,
    "card": card_drafts.card,
    "prepare": inventory.prepare,
    "spaces": inventory.spaces,
    "suites": inventory.suites,
    "synth": inventory.synth,
    "train": running.train,
    "decide": logs.decide,
    "run": running.run,
    "resume": running.resume,
    "confirm": running.confirm,
    "sync": running.sync,
    "status": running.status,
    "frontier": results.frontier,
    "report": results.report,
    "pick": results.pick,
    "export": logs.export,
    "backtest": switching.backtest,
    "plan": switching.plan,
    "deploy": switching.deploy,
    "history": deployed.history,
    "score": deployed.score,
    "latency": deployed.latency,
    "evaluate": deployed.evaluate,
    "explain": deployed.explain,
    "diagnose": results.diagnose,
    "compare": results.compare,
    "doctor": inventory.doctor,
}
"""In the order of `seesaw --help`."""
for _name, _command in COMMANDS.items():
    app.command(_name)(answered(_command))
