"""All commands in one place; each is a function of its name, in the module of its group.

A command's module is imported when it is called: help and complaints need none of them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bench import __version__
from bench.core import plugins

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Data": {
        "datasets": ("inventory", "List the data sets, or explain one card."),
        "card": ("card_drafts", "Draft a card for your own files, with reasons."),
        "prepare": ("inventory", "Fetch and encode a data set."),
        "synth": ("inventory", "Write generated files in a public format."),
    },
    "Search": {
        "spaces": ("inventory", "List the search spaces, or show one."),
        "suites": ("inventory", "List the suites, with their data and budgets."),
        "train": ("running", "Train one configuration, and show its metrics."),
        "run": ("running", "Search, confirm on fresh seeds, and pick."),
        "resume": ("running", "Go on with a run, or extend it."),
        "confirm": ("running", "Confirm more of a run."),
        "sync": ("running", "Send what is missing of a run to MLflow."),
        "status": ("running", "Show what runs, is done, or failed, and why."),
        "doctor": ("inventory", "Show what this machine has, and lacks."),
    },
    "Decide": {
        "frontier": ("results", "Show whether to switch, and the front."),
        "report": ("results", "Write one self-contained HTML page."),
        "pick": ("results", "Pick a model and weights by a policy."),
        "compare": ("results", "Compare families of points of several runs."),
        "diagnose": ("results", "Say what holds a trial's tasks back."),
        "export": ("logs", "Write a run's predictions as a log."),
        "decide": ("logs", "Decide from the predictions of a log."),
        "backtest": ("switching", "Test a pick on later days."),
        "plan": ("switching", "Plan the A/B test of a verdict."),
    },
    "Serve": {
        "deploy": ("switching", "Train the pick for good, package, register."),
        "history": ("deployed", "Write every group's history, for `score`."),
        "score": ("deployed", "Score files with a packaged model."),
        "latency": ("deployed", "Measure latency and throughput of a package."),
        "evaluate": ("deployed", "Measure a package on newer data."),
        "explain": ("deployed", "Say what its order owes to each input."),
    },
}
"""By group and name the module of each command and its line in `seesaw --help`, in that order."""
MODULES = {name: module for group in COMMANDS.values() for name, (module, _) in group.items()}


def command_of(name: str) -> Command:
    """A command by its name, with its options."""
    from bench.app.cli.options import answered

    function = getattr(import_module(f"bench.app.cli.{MODULES[name]}"), name)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(answered(function))
    return typer.main.get_command(single)


class CommandGroup(TyperGroup):
    """The commands by group, each imported when it is called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: dict[str, Any] = dict.fromkeys(MODULES)  # names, for suggestions

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """A command; None where there is none of that name."""
        return command_of(cmd_name) if cmd_name in MODULES else None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes a section of help for each group."""
        width = max(map(len, MODULES))
        for title, commands in COMMANDS.items():
            lines = [(name.ljust(width), line) for name, (_, line) in commands.items()]
            with formatter.section(title):
                formatter.write_dl(lines)


app = typer.Typer(
    name="seesaw",
    cls=CommandGroup,
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
