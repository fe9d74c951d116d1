"""Turns pydantic's errors into one sentence that names file, key, what was expected and what was found."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import UserError

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], values: Any, where: str) -> M:
    """`model` made from `values`.

    Args:
        where: what the values came from, put before the message: a file's path, or "--set".

    Raises:
        UserError: with the first error's key, expectation and value; how many more there are.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = problems[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields) if len(first["loc"]) == 1 else ""
            text = f"unknown key '{key}'" + (f"; known are {known}" if known else "")
        elif first["type"] == "missing":
            text = f"missing key '{key}'"
        else:
            message = first["msg"].removeprefix("Value error, ")
            text = f"{key}: {message}" if key else message
            if first["type"] != "value_error" and not isinstance(first["input"], (dict, BaseModel)):
                text += f", found {first['input']!r}"
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{where}: {text}{more}") from None
