"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar, get_args, get_origin

import typer
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from bench.app.cli.output import CommandOutput, print_json
from bench.core.errors import UserError, shortened
from bench.core.formula_languages import language_of
from bench.core.option import Option
from bench.core.registry import Config
from bench.core.system.home import resolve_home
from bench.core.validation import validate

if TYPE_CHECKING:
    from bench.app.runs.folder import DatasetRun, Run
    from bench.app.runs.result import DatasetResult
    from bench.core.formula_languages import FormulaLanguage


M = TypeVar("M", bound=Config)
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")]
Texts = list[str] | None
"""Values of an option that may be repeated."""

DatasetArgument = Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")]
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
        help="A point of `seesaw show`, as 7 or trees, in place of the pick.",
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
    model: type[Config], *names: str, without: Collection[str] = (), defaults: bool = True
) -> Callable[[Callable[..., CommandOutput]], Callable[..., CommandOutput]]:
    """Give a command fields of a model as options; the command takes those that were given as a
    dict, `asked`.

    The first sentence of a field's docstring is the option's help, its `Option` says what else it
    needs. A field without default is an argument. Values are checked where the model is made of
    them.

    Args:
        names: of the fields; none means all except those in `without`.
        defaults: whether help shows the fields' defaults.
    """
    names = names or tuple(name for name in model.model_fields if name not in without)
    fields = {name: model.model_fields[name] for name in names}

    def with_options(command: Callable[..., CommandOutput]) -> Callable[..., CommandOutput]:
        @wraps(command)
        def run(**arguments: Any) -> CommandOutput:
            asked = arguments.pop("asked", {})
            for name, field in fields.items():
                value = arguments.pop(name)
                if value is None:
                    continue
                option = _option_of(field)
                if option.example:
                    value = option.pairs(value)
                asked[name] = False if field.default is True else value
            return command(asked=asked, **arguments)

        options = [_parameter(name, field, defaults) for name, field in fields.items()]
        parameters = dict(signature(command, eval_str=True).parameters)
        parameters.pop("asked", None)
        _set_parameters(run, [*options, *parameters.values()])
        return run

    return with_options


def validated(model: type[M], asked: Mapping[str, Any]) -> M:
    """The model of some options; a complaint names the option, not the field."""
    try:
        return validate(model, asked, "")
    except UserError as error:
        key, _, complaint = str(error).partition(": ")
        name, _, entry = key.partition(".")
        if name not in model.model_fields:
            raise
        option = f"{_flag(name, model.model_fields[name])} {entry}".rstrip()
        raise UserError(f"{option}: {complaint}") from None


def _flag(name: str, field: FieldInfo) -> str:
    """An option as it is typed; that of what is on by default switches it off."""
    dashed = _option_of(field).name or name.replace("_", "-")
    return f"--no-{dashed}" if field.default is True else f"--{dashed}"


def _option_of(field: FieldInfo) -> Option:
    for extra in field.metadata:
        if isinstance(extra, Option):
            return extra
    return Option()


def _parameter(name: str, field: FieldInfo, shows_default: bool) -> Parameter:
    option, form = _option_of(field), _option_of(field).form or None
    help = re.split(r"(?<=[.])\s", field.description or "", maxsplit=1)[0]
    if field.is_required() and not option.name:
        argument: Any = Annotated[str, typer.Argument(help=help, metavar=form)]
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=argument)
    type_of_value = _type_of(field)
    if type_of_value == list[str]:
        help += " Repeat."
    shown_default: str | bool = False
    if shows_default and isinstance(field.default, str):
        shown_default = field.default
    typer_option = typer.Option(
        _flag(name, field), help=help, metavar=form, show_default=shown_default
    )
    annotation: Any = Annotated[Optional[type_of_value], typer_option]  # noqa: UP045
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _type_of(field: FieldInfo) -> Any:
    """As what the command line reads a field: a table or a list as several texts, other values as
    text or as a plain type.
    """
    if get_origin(field.annotation) in (dict, list):
        return list[str]
    if any(isinstance(extra, BeforeValidator) for extra in field.metadata):
        return str
    types = {*(get_args(field.annotation) or [field.annotation])} - {NoneType}
    return types.pop() if types in ({int}, {float}, {bool}, {Path}) else str


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
