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
    found = []
    for size in (1, 2, base.PART):
        with parts(sample, sample.content, size) as (path, tables):
            read_ = list(tables)
            assert all(each.table.num_rows <= size for each in read_), (
                f"a part has more than {size} rows"
            )
            schemas = {str(each.table.schema.remove_metadata()) for each in read_}
            assert len(schemas) == 1, f"parts have different columns or types: {schemas}"
            rows = [row for each in read_ for row in each.table.to_pylist()]
            assert rows == list(sample.rows), (
                f"parts of {size}: expected {list(sample.rows)}, found {rows}"
            )
            places = [
                each.place(row).replace(str(path), "")
                for each in read_
                for row in range(each.table.num_rows)
            ]
            assert len(set(places)) == len(rows), f"two rows have one place: {places}"
            found.append((schemas, places))
    assert all(each == found[0] for each in found), (
        f"types or places depend on how the file is cut: {found}"
    )


def bad_input_is_the_users_mistake_with_its_place(sample: ReaderSample) -> None:
    """A `UserError` names the file and, where the format has lines or rows, which one is wrong."""
    with parts(sample, sample.bad) as (path, tables):
        said = ""
        try:
            list(tables)
        except UserError as error:
            said = str(error)
        assert said, "expected a UserError, found rows"
        assert str(path) in said, f"expected {path} in '{said}'"
        assert sample.where in said, f"expected '{sample.where}' in '{said}'"
