"""Validates values from files: an error becomes one sentence with file, key, what was expected and
what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.core.errors import UserError, shortened, unknown

M = TypeVar("M", bound=BaseModel)

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
    "dataclass": "a table",
}
"""Prefix of pydantic's error type -> the expected value."""


def validate(model: type[M], values: Any, where: str, table: str = "") -> M:
    """Returns `model` made from `values`.

    The message starts with their source, `where` (a file's path or "--set", or empty); `table`
    prefixes each key. Raises UserError with the first error's key, expectation and value, and the
    number of further errors.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # An unknown key comes first: it explains a misspelt name better than the missing key beside
        # it.
        problems = sorted(
            error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden"
        )
        text = _sentence(model, problems[0], table)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{where}: {text}{more}" if where else f"{text}{more}") from None


def _sentence(model: type[BaseModel], problem: ErrorDetails, table: str) -> str:
    path, models = _followed(model, problem["loc"])
    key = ".".join(map(str, (table, *path) if table else path))
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = {
            field.alias or name for each in models for name, field in each.model_fields.items()
        }
        above = key.removesuffix(str(path[-1]))
        return (
            str(unknown("key", key, [f"{above}{name}" for name in known]))
            if known
            else f"unknown key '{key}'"
        )
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    if problem["type"].startswith("union_tag"):
        of, tag = problem["ctx"]["discriminator"].strip("'"), problem["ctx"].get("tag")
        if tag is None:
            return f"missing key '{key}.{of}'"
        tags = re.findall("'([^']*)'", problem["ctx"]["expected_tags"])
        return f"{key}: {unknown(of, tag, tags)}"
    found = problem["input"]
    text = _expected(problem)
    if problem["type"] != "value_error" and not isinstance(found, dict | BaseModel):
        shown = (
            str(found) if hasattr(found, "isoformat") else repr(found)
        )  # a date as TOML writes it
        text += f", found {shortened(shown)}"
    return f"{key}: {text}" if key else text


def _expected(problem: ErrorDetails) -> str:
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    first, _, rest = kind.partition("_")
    if first in _WANTED and rest in (
        "type",
        "parsing",
        "from_float",
        "attributes_type",
        "parsing_size",
    ):
        return f"expected {_WANTED[first]}"
    if kind.startswith(("greater_than", "less_than")):
        return message.replace("Input should be", "expected a number")
    if sized := re.fullmatch(r"\w+ should have (at \w+ \d+) (\w+)( after validation.*)?", message):
        return f"expected {sized[1]} {sized[2]}"
    return re.sub(r"^(Input|String|\w+) should", "expected it to", message).replace(
        "expected it to be", "expected"
    )


def _followed(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[int | str], list[type[BaseModel]]]:
    """Returns a location as the user wrote it, and the models possible around its last part.

    Among alternatives by `kind`, pydantic puts the kind into the location.
    """
    path: list[int | str] = []
    models = [model]
    for at, part in enumerate(location):
        fields = [
            f for each in models for name, f in each.model_fields.items() if part in (name, f.alias)
        ]
        if len(models) > 1 and (of_kind := [each for each in models if part in _kinds(each)]):
            models = of_kind
            continue
        path.append(part)
        if fields and at < len(location) - 1:  # an index, or a key of a table by name, is no field
            models = [each for field in fields for each in _models_in(field.annotation)]
    return path, models


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
