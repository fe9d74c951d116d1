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
        "list": ("listing.list_", "List data sets, suites and spaces, or show one."),
        "data": ("", "Draft a card for your own files; prepare, make, export data."),
        "doctor": ("doctor.doctor", "Show what this machine has, and lacks."),
    },
    "Search": {
        "run": ("running.run", "Search, confirm on fresh seeds, and pick; or go on."),
        "status": ("running.status", "Show what runs, is done, or failed, and why."),
        "train": ("training.train", "Train one configuration, and show its metrics."),
    },
    "Decide": {
        "show": ("results.show", "Show a run's answer and front; write its page."),
        "pick": ("results.pick", "Pick a model and weights by a policy."),
        "compare": ("results.compare", "Compare families of points of several runs."),
        "diagnose": ("diagnosing.diagnose", "Say what holds a trial's tasks back."),
        "decide": ("logs.decide", "Decide from a log's predictions, or a package's."),
        "backtest": ("switching.backtest", "Test a pick on later days."),
        "plan": ("switching.plan", "Plan the A/B test of a verdict."),
    },
    "Serve": {
        "deploy": ("switching.deploy", "Train the pick for good, package, register."),
        "score": ("deployed.score", "Score files with a package, or time it."),
        "explain": ("deployed.explain", "Say what its order owes to each input."),
    },
}
"""By group and name a command's function and its line in `seesaw --help`, in that order."""
DATA: dict[str, dict[str, tuple[str, str]]] = {
    "Commands": {
        "card": ("card_drafts.card", "Draft a card for your own files, with reasons."),
        "prepare": ("data.prepare", "Fetch and encode a data set."),
        "remove": ("data.remove", "Free the prepared files of a data set."),
        "synth": ("data.synth", "Write generated files in a public format."),
        "history": ("data.history", "Write every group's history, for `score`."),
        "export": ("logs.export", "Write a run's predictions as a log."),
    },
}
"""As `COMMANDS`, those of `seesaw data`."""


PLACES: dict[str, str] = {}
"""By name the function of each command, as `module.function`; those of `seesaw data` are named
`data card`.
"""
for _prefix, _groups in (("", COMMANDS), ("data ", DATA)):
    for _commands in _groups.values():
        PLACES |= {f"{_prefix}{name}": place for name, (place, _) in _commands.items() if place}


def command_of(name: str) -> Command:
    """A command by its name in `PLACES`, with its options."""
    from bench.app.cli.options import answered

    module, _, function = PLACES[name].partition(".")
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    command = answered(getattr(import_module(f"bench.app.cli.{module}"), function))
    single.command(name.split()[-1])(command)
    return typer.main.get_command(single)


class CommandGroup(TyperGroup):
    """Commands by group, each imported when it is called."""

    groups = COMMANDS
    prefix = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        names = [name for commands in self.groups.values() for name in commands]
        self.commands: dict[str, Any] = dict.fromkeys(names)  # for suggestions

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """A command; None where there is none of that name."""
        if cmd_name == "data":
            return typer.main.get_command(data)
        name = f"{self.prefix}{cmd_name}"
        return command_of(name) if name in PLACES else None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes a section of help for each group."""
        width = max(map(len, self.commands))
        for title, commands in self.groups.items():
            lines = [(name.ljust(width), line) for name, (_, line) in commands.items()]
            with formatter.section(title):
                formatter.write_dl(lines)


class DataGroup(CommandGroup):
    """Commands of `seesaw data`."""

    groups = DATA
    prefix = "data "


data = typer.Typer(
    name="data",
    cls=DataGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@data.callback()
def data_root() -> None:
    """Draft a card for your own files, prepare data, and write files of them."""


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
