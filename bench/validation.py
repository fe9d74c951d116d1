"""Values read from files: errors become one sentence that names file, key, what was expected and what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import UserError, unknown

M = TypeVar("M", bound=BaseModel)


def read_json(path: Path) -> Any:
    """The values of a JSON file.

    Raises:
        UserError: it is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{path}: expected plain JSON, found it nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise UserError(f"{path}: not valid JSON: {error}") from None


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
        # An unknown key comes first: where a name is misspelt, it tells more than the missing key beside it.
        problems = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        first = problems[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = [field.alias or name for name, field in model.model_fields.items()] if key in first["loc"] else ()
            text = str(unknown("key", key, known)) if known else f"unknown key '{key}'"
        elif first["type"] == "missing":
            text = f"missing key '{key}'"
        else:
            message = first["msg"].removeprefix("Value error, ")
            text = f"{key}: {message}" if key else message
            if first["type"] != "value_error" and not isinstance(first["input"], (dict, BaseModel)):
                text += f", found {first['input']!r}"
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{where}: {text}{more}") from None
