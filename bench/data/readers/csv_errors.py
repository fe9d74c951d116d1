"""What is wrong with delimited text, from Arrow's errors: one sentence, with file and line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from bench.data.readers.blocks import lines
from bench.errors import UserError

_ROW = re.compile(r"Row #(\d+): (.*)", re.DOTALL)
_NUMBER = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to double: invalid value '(.*)'", re.DOTALL
)


def explained(error: pa.ArrowInvalid, path: Path, header: Sequence[str]) -> UserError:
    """The user's mistake behind an error of Arrow's reader, with file and line.

    Args:
        header: names of the columns, in order.
    """
    text = str(error)
    if match := _NUMBER.search(text):
        column, row, value = int(match[1]), int(match[2]), match[3]
        return UserError(f"{place_of(path, row - 1)}: '{header[column]}': expected a number, found '{value}'")
    if "UTF8" in text:
        return UserError(f"{path}{_first_not_utf8(path)}: expected UTF-8 text")
    if match := _ROW.search(text):
        expected = match[2].split(": ")[0].splitlines()[0]
        reason = re.sub(r"Expected (\d+) columns, got (\d+).*", r"expected \1 columns, found \2", expected)
        return UserError(f"{place_of(path, int(match[1]) - 1)}: {reason}")
    if "Empty CSV" in text:
        return UserError(f"{path}: expected rows, found an empty file")
    return UserError(f"{path}: {text.splitlines()[0]}")


def place_of(path: Path, row: int) -> str:
    """Where a row is.

    Args:
        row: counted from 0 over the lines that are not empty, the header among them; the answer counts all from 1.
    """
    filled = -1
    for number, line in enumerate(lines(path), 1):
        filled += bool(line.strip(b"\r\n"))
        if filled == row:
            return f"{path}, line {number}"
    return f"{path}, row {row + 1}"


def _first_not_utf8(path: Path) -> str:
    for number, line in enumerate(lines(path), 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return f", line {number}"
    return ""
