"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from bench.app.cli.output import CommandOutput, print_json
from bench.core.errors import UserError, shortened
from bench.core.registry import Config
from bench.core.system.home import resolve_home

if TYPE_CHECKING:
    from bench.app.runs.folder import Run


RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Full = Annotated[bool, typer.Option("--full", help="Show all tables and all reasons.")]
Formula = Annotated[
    str | None,
    typer.Option(
        "--formula", metavar="sql|python", help="Print the answer's score in this language, too."
    ),
]
Home = Annotated[
    Path | None,
    typer.Option("--home", help="Home of all files; default: $SEESAW_HOME, else ./.seesaw."),
]
Raw = Annotated[
    Path | None, typer.Option("--raw", help="Folder with the raw files; nothing is fetched.")
]
Point = Annotated[
    str | None,
    typer.Option(
        "--point",
        metavar="ID",
        help="A point of `seesaw frontier`, as 7 or trees, in place of the pick.",
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help=(
            "A package's folder, a deployed run, or NAME, NAME@ALIAS or NAME/VERSION in the "
            "registry."
        )
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option("--tracking", help="MLflow address of the registry; default: the store at home."),
]


def opened(name: str, home: Path | None) -> Run:
    """The run of a name, or at a path."""
    from bench.app.runs.folder import Run

    return Run.open(resolve_home(home), name)


def answered(command: Callable[..., CommandOutput]) -> Callable[..., None]:
    """The command with the option `--json`, which prints its document alone; without it, its
    words.
    """
    parameters = signature(command, eval_str=True).parameters

    @wraps(command)
    def run(json: bool, **given: Any) -> None:
        for document in (
            answer := command(**given, **({"json": json} if "json" in parameters else {}))
        ):
            if json:
                print_json(document() if callable(document) else document)
                answer.close()  # a command may fail by a `finally`

    option = Parameter("json", Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    run.__signature__ = _keywords(*(parameters | {"json": option}).values())  # type: ignore[attr-defined]
    return run


def _keywords(*parameters: Parameter) -> Signature:
    return Signature([each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters])


def options_of(
    model: type[Config], *names: str, defaults: bool = True
) -> Callable[[Callable[..., CommandOutput]], Callable[..., CommandOutput]]:
    """Give a command fields of a model as options; the command takes those that were given as a
    dict, `asked`.

    The first sentence of a field's docstring is the option's help. A field without default is an
    argument. Values are checked where the model is made of them.

    Args:
        names: of the fields; none means all.
        defaults: whether help shows the fields' defaults.
    """
    fields = {name: model.model_fields[name] for name in names or model.model_fields}

    def with_options(command: Callable[..., CommandOutput]) -> Callable[..., CommandOutput]:
        @wraps(command)
        def run(**given: Any) -> CommandOutput:
            asked = {name: value for name in fields if (value := given.pop(name)) is not None}
            return command(asked=given.pop("asked", {}) | asked, **given)

        own = [
            each
            for each in signature(command, eval_str=True).parameters.values()
            if each.name != "asked"
        ]
        made = (_option(name, field, defaults) for name, field in fields.items())
        run.__signature__ = _keywords(*made, *own)  # type: ignore[attr-defined]
        return run

    return with_options


def _option(name: str, field: FieldInfo, shows_default: bool) -> Parameter:
    text = re.split(r"(?<=[.])\s", field.description or "", maxsplit=1)[0]
    if field.is_required():
        return Parameter(
            name, Parameter.KEYWORD_ONLY, annotation=Annotated[str, typer.Argument(help=text)]
        )
    option = typer.Option(
        help=text,
        show_default=field.default if shows_default and isinstance(field.default, str) else False,
    )
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[_typed(field), option]
    )


def _typed(field: FieldInfo) -> Any:
    """How the command line reads a field: a table as several texts, other values as text or as a
    plain type.
    """
    types = [
        each for each in get_args(field.annotation) or [field.annotation] if each is not NoneType
    ]
    if get_origin(field.annotation) is dict:
        return list[str] | None
    return (
        types[0] | None if len(types) == 1 and types[0] in (int, float, bool, Path) else str | None
    )


def read_bound(option: str, text: str) -> tuple[str, float | str]:
    """Metric and bound of an option such as `--at-least "click.recall@10%[country=US]=98% of
    current"`.

    Raises:
        UserError: anything else.
    """
    from bench.deciding.policy import bound

    match = re.fullmatch(
        r"\s*([^=\s\[]+(?:\[[^\]]*\])?)\s*=\s*(.+?)\s*", text
    )  # [country=US] is of the metric
    with suppress(ValueError):
        if match is not None:
            number = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", match[2], re.I)
            return match[1], bound(float(match[2]) if number else match[2])
    raise UserError(
        f"{option}: expected METRIC=NUMBER or METRIC=98% of current, as in 'click.recall@10%=98% "
        f"of current', found '{shortened(text)}'"
    )


def read_value(text: str) -> tuple[str, float]:
    """Task and value of an option such as `--value buy=40`; raises UserError for anything else."""
    task, _, value = text.partition("=")
    with suppress(ValueError):
        if task.strip() and 0 < (number := float(value)) < math.inf:
            return task.strip(), number
    raise UserError(
        f"--value: expected TASK=NUMBER above 0, as in buy=40, found '{shortened(text)}'"
    )
