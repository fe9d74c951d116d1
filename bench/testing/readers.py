"""Checks of every reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from bench.core.errors import UserError
from bench.core.system.progress import Silent
from bench.data import parse_card
from bench.data.readers import base, read


@dataclass(frozen=True)
class ReaderSample:
    """A raw file of the reader's format with its rows, and a file that it must refuse.

    Attributes:
        card: the plain values of a card with one file of rows.
        content: of that file, at least 3 rows.
        rows: a dict for each row, from raw column to value, of all columns that the card reads.
        bad: unreadable content.
        where: place of the error in the message, as in `line 3`; empty for formats without places.
    """

    card: Mapping[str, Any]
    content: bytes
    rows: Sequence[Mapping[str, Any]]
    bad: bytes
    where: str = ""


@contextmanager
def parts(
    sample: ReaderSample, content: bytes, rows: int = base.PART
) -> Iterator[tuple[Path, Iterator[base.RawTable]]]:
    """A file with this content, and its parts of at most `rows` rows."""
    with TemporaryDirectory() as folder, patch.object(base, "PART", rows):
        card = parse_card(dict(sample.card), folder)
        path = Path(folder) / card.row_files[0]
        path.write_bytes(content)
        yield path, read(card, {path.name: [path]}, Silent())


def its_parts_are_the_rows_of_the_file_however_it_is_cut(sample: ReaderSample) -> None:
    """Values, names and types of columns, and places do not depend on how many rows a part has."""
    expected = list(sample.rows)
    found = []
    for size in (1, 2, base.PART):
        with parts(sample, sample.content, size) as (path, tables):
            schemas = set[str]()
            rows: list[dict[str, Any]] = []
            places: list[str] = []
            for part in tables:
                assert part.table.num_rows <= size, f"a part has more than {size} rows"
                schemas.add(str(part.table.schema.remove_metadata()))
                rows += part.table.to_pylist()
                for row in range(part.table.num_rows):
                    places.append(part.place(row).replace(str(path), ""))
            assert len(schemas) == 1, f"parts have different columns or types: {schemas}"
            assert rows == expected, f"parts of {size}: expected {expected}, found {rows}"
            assert len(set(places)) == len(rows), f"two rows have one place: {places}"
            found.append((schemas, places))
    assert found[0] == found[1] == found[2], (
        f"types or places depend on how the file is cut: {found}"
    )


def bad_input_is_the_users_mistake_with_its_place(sample: ReaderSample) -> None:
    """A `UserError` names the file and, where the format has lines or rows, which one is wrong."""
    with parts(sample, sample.bad) as (path, tables):
        message = ""
        try:
            list(tables)
        except UserError as error:
            message = str(error)
        assert message, "expected a UserError, found rows"
        assert str(path) in message, f"expected {path} in '{message}'"
        assert sample.where in message, f"expected '{sample.where}' in '{message}'"
