"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
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
from bench.core.formula_languages import language_of
from bench.core.registry import Config
from bench.core.system.home import resolve_home

if TYPE_CHECKING:
    from bench.app.runs.folder import DatasetRun, Run
    from bench.app.runs.result import DatasetResult
    from bench.core.formula_languages import FormulaLanguage


RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")]
Texts = list[str] | None
"""Values of an option that may be repeated."""

DatasetArgument = Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")]
Threads = Annotated[
    int, typer.Option("--threads", help="Threads to train with; 0 means all cores.", min=0)
]
TrainingSeed = Annotated[
    int | None, typer.Option("--seed", help="Seed of the trainings; default: the run's.")
]
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
        help="A package's folder, a deployed run, or NAME, NAME@ALIAS or NAME/VERSION in the "
        "registry."
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


def only_part(run: Run) -> DatasetRun:
    """The data set of a run that has one; UserError for several."""
    if len(run.datasets) > 1:
        raise UserError(f"{run.name}: expected a run of one data set, found {len(run.datasets)}")
    return next(iter(run.datasets.values()))


def results_of(run: Run) -> list[DatasetResult]:
    """The result on each data set of a run."""
    from bench.app.runs.result import result_of

    return list(map(result_of, run.datasets.values()))


def one_or_datasets(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document of a run of one data set; else those of all, by data set."""
    return next(iter(documents.values())) if len(documents) == 1 else {"datasets": documents}


def answered(command: Callable[..., CommandOutput]) -> Callable[..., None]:
    """The command with the option `--json`, which prints its document alone; without it, its
    words.
    """
    parameters = signature(command, eval_str=True).parameters

    @wraps(command)
    def run(json: bool, **arguments: Any) -> None:
        if "json" in parameters:
            arguments["json"] = json
        output = command(**arguments)
        for document in output:
            if json:
                print_json(document() if callable(document) else document)
                output.close()  # a command may fail by a `finally`

    option = Parameter("json", Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    _set_parameters(run, (parameters | {"json": option}).values())
    return run


def _set_parameters(command: Callable[..., Any], parameters: Iterable[Parameter]) -> None:
    """Gives a command the options that Typer sees."""
    keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    command.__signature__ = Signature(keywords)  # type: ignore[attr-defined]


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
        def run(**arguments: Any) -> CommandOutput:
            asked = arguments.pop("asked", {})
            for name in fields:
                value = arguments.pop(name)
                if value is not None:
                    asked[name] = value
            return command(asked=asked, **arguments)

        options = [_option(name, field, defaults) for name, field in fields.items()]
        parameters = dict(signature(command, eval_str=True).parameters)
        parameters.pop("asked", None)
        _set_parameters(run, [*options, *parameters.values()])
        return run

    return with_options


def _option(name: str, field: FieldInfo, shows_default: bool) -> Parameter:
    text = re.split(r"(?<=[.])\s", field.description or "", maxsplit=1)[0]
    if field.is_required():
        argument: Any = Annotated[str, typer.Argument(help=text)]
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=argument)
    shown_default: str | bool = False
    if shows_default and isinstance(field.default, str):
        shown_default = field.default
    option = typer.Option(help=text, show_default=shown_default)
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[_typed(field), option]
    )


def _typed(field: FieldInfo) -> Any:
    """How the command line reads a field: a table as several texts, other values as text or as a
    plain type.
    """
    if get_origin(field.annotation) is dict:
        return list[str] | None
    types = {*(get_args(field.annotation) or [field.annotation])} - {NoneType}
    if types in ({int}, {float}, {bool}, {Path}):
        return types.pop() | None
    return str | None


def read_language(formula: str | None) -> FormulaLanguage | None:
    """The language of `--formula`; raises UserError for an unknown one."""
    return None if formula is None else language_of(formula, "--formula")


def read_bounds(option: str, texts: Texts) -> dict[str, float | str]:
    """By metric its bound, of an option such as `--at-least "click.recall@10%[country=US]=98% of
    current"`.

    Raises:
        UserError: anything else.
    """
    return dict(_bound(option, text) for text in texts or ())


def _bound(option: str, text: str) -> tuple[str, float | str]:
    from bench.deciding.policy import bound

    # [country=US] is of the metric
    match = re.fullmatch(r"\s*([^=\s\[]+(?:\[[^\]]*\])?)\s*=\s*(.+?)\s*", text)
    if match is not None:
        metric, limit = match.groups()
        is_number = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", limit, re.I)
        with suppress(ValueError):
            return metric, bound(float(limit) if is_number else limit)
    raise UserError(
        f"{option}: expected METRIC=NUMBER or METRIC=98% of current, as in 'click.recall@10%=98% "
        f"of current', found '{shortened(text)}'"
    )


def read_values(texts: Texts) -> dict[str, float]:
    """By task its value, of `--value buy=40`; raises UserError for anything else."""
    return dict(map(_value, texts or ()))


def _value(text: str) -> tuple[str, float]:
    task, _, value = text.partition("=")
    with suppress(ValueError):
        if task.strip() and 0 < float(value) < math.inf:
            return task.strip(), float(value)
    raise UserError(
        f"--value: expected TASK=NUMBER above 0, as in buy=40, found '{shortened(text)}'"
    )
