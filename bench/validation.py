"""Values read from files: errors become one sentence that names file, key, what was expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.errors import UserError, shortened, unknown

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
}
"""By what pydantic's types of error begin with."""


def validate(model: type[M], values: Any, where: str, table: str = "") -> M:
    """`model` made from `values`.

    Args:
        where: what the values came from, put before the message: a file's path, or "--set"; may be empty.
        table: where the values stand in it, put before each key.

    Raises:
        UserError: with the first error's key, expectation and value; how many more there are.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # An unknown key comes first: where a name is misspelt, it tells more than the missing key beside it.
        problems = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        text = _told(model, problems[0], table)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{where}: {text}{more}" if where else f"{text}{more}") from None


def _told(model: type[BaseModel], problem: ErrorDetails, table: str) -> str:
    """One error as the rest of a sentence."""
    key = ".".join(map(str, (table, *problem["loc"]) if table else problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = {name for each in _models_at(model, problem["loc"][:-1]) for name in _names(each)}
        above = key.removesuffix(str(problem["loc"][-1]))
        return str(unknown("key", key, [f"{above}{name}" for name in known])) if known else f"unknown key '{key}'"
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    found = problem["input"]
    text = _expected(problem)
    if problem["type"] != "value_error" and not isinstance(found, dict | BaseModel):
        shown = str(found) if hasattr(found, "isoformat") else repr(found)  # a date as TOML writes it
        text += f", found {shortened(shown)}"
    return f"{key}: {text}" if key else text


def _expected(problem: ErrorDetails) -> str:
    """What was expected, in our words."""
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    first, _, rest = kind.partition("_")
    if first in _WANTED and rest in ("type", "parsing", "from_float", "attributes_type", "parsing_size"):
        return f"expected {_WANTED[first]}"
    if kind.startswith(("greater_than", "less_than")):
        return message.replace("Input should be", "expected a number")
    if sized := re.fullmatch(r"\w+ should have (at \w+ \d+) (\w+)( after validation.*)?", message):
        return f"expected {sized[1]} {sized[2]}"
    return re.sub(r"^(Input|String|\w+) should", "expected it to", message).replace("expected it to be", "expected")


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models of which one is expected at a path."""
    found = [model]
    for part in path:
        fields = [f for each in found for name, f in each.model_fields.items() if part in (name, f.alias)]
        if fields:  # an index, or a key of a table by name, is none
            found = [each for field in fields for each in _models_in(field.annotation)]
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
