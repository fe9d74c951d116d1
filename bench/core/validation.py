"""Validates values from files: an error becomes one sentence with file, key, what was expected and
what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar, get_args

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
_WRONG_TYPE = ("type", "parsing", "from_float", "attributes_type", "parsing_size")
"""What follows such a prefix."""


def validate(model: type[M], values: Any, where: str, table: str = "") -> M:
    """Returns `model` made from `values`.

    The message starts with their source, `where` (a file's path or "--set", or empty); `table`
    prefixes each key. Raises UserError with the first error's key, expectation and value, and the
    number of further errors.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # It explains a misspelt name better than the missing key beside it.
        unknown_keys = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        first = (unknown_keys or problems)[0]
        text = _sentence(model, first, table)
        if len(problems) > 1:
            text += f" (and {len(problems) - 1} more)"
        if where:
            text = f"{where}: {text}"
        raise UserError(text) from None


def _sentence(model: type[BaseModel], problem: ErrorDetails, table: str) -> str:
    location = _location(model, problem["loc"])
    path = [table, *location.path] if table else location.path
    key = ".".join(map(str, path))
    kind = problem["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return _unknown_key(key, location)
    if kind == "missing":
        return f"missing key '{key}'"
    if kind.startswith("union_tag"):
        name, tag = problem["ctx"]["discriminator"].strip("'"), problem["ctx"].get("tag")
        if tag is None:
            return f"missing key '{key}.{name}'"
        tags = re.findall("'([^']*)'", problem["ctx"]["expected_tags"])
        return f"{key}: {unknown(name, tag, tags)}"
    value = problem["input"]
    text = _expected(problem)
    if kind != "value_error" and not isinstance(value, dict | BaseModel):
        is_date = hasattr(value, "isoformat")  # written as TOML writes it
        text += f", found {shortened(str(value) if is_date else repr(value))}"
    return f"{key}: {text}" if key else text


def _unknown_key(key: str, location: _Location) -> str:
    table = key.removesuffix(str(location.path[-1]))
    keys = set[str]()
    for model in location.models:
        for name, field in model.model_fields.items():
            keys.add(f"{table}{field.alias or name}")
    if not keys:
        return f"unknown key '{key}'"
    return str(unknown("key", key, keys))


def _expected(problem: ErrorDetails) -> str:
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    first, _, rest = kind.partition("_")
    if first in _WANTED and rest in _WRONG_TYPE:
        return f"expected {_WANTED[first]}"
    if kind.startswith(("greater_than", "less_than")):
        return message.replace("Input should be", "expected a number")
    sized = re.fullmatch(r"\w+ should have (at \w+ \d+) (\w+)( after validation.*)?", message)
    if sized is not None:
        return f"expected {sized[1]} {sized[2]}"
    message = re.sub(r"^(Input|String|\w+) should", "expected it to", message)
    return message.replace("expected it to be", "expected")


class _Location(NamedTuple):
    """A place as the user wrote it, and the models possible around its last part."""

    path: list[int | str]
    models: list[type[BaseModel]]


def _location(model: type[BaseModel], parts: tuple[int | str, ...]) -> _Location:
    """Follows pydantic's location, into which it puts the kind among alternatives by `kind`."""
    path: list[int | str] = []
    models = [model]
    for number, part in enumerate(parts):
        models_of_kind = [candidate for candidate in models if part in _kinds(candidate)]
        if len(models) > 1 and models_of_kind:
            models = models_of_kind
            continue
        path.append(part)
        fields = []
        for candidate in models:
            for name, field in candidate.model_fields.items():
                if part in (name, field.alias):
                    fields.append(field)
        # An index, or a key of a table by name, is no field.
        if fields and number < len(parts) - 1:
            models = []
            for field in fields:
                models += _models_in(field.annotation)
    return _Location(path, models)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    if "kind" not in model.model_fields:
        return ()
    return get_args(model.model_fields["kind"].annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
