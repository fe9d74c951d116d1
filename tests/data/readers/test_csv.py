from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data.readers import blocks
from bench.data.readers.base import whole
from bench.data.readers.blocks import open_raw
from bench.data.readers.csv import OPEN, cleaner, read_csv, read_double_colon
from bench.data.values import as_numbers, as_text
from bench.system.progress import Silent

WANTED = {"a": "number", "b": "text"}


def texts(column: Any, missing: tuple[str, ...] = ()) -> list[str | None]:
    text = as_text(column, missing)
    return [None if code < 0 else text.values[code] for code in text.codes]


def read(tmp_path: Path, content: str | bytes, **options: Any) -> Any:
    path = tmp_path / "f.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return whole(read_csv(path, "f.csv", options.pop("wanted", WANTED), Silent(), **options)).table


def test_wanted_columns_alone_are_read(tmp_path: Path) -> None:
    table = read(tmp_path, "c,b,a\n9,x,1\n9,y,2\n")
    assert table.column_names == ["b", "a"]
    assert table["a"].to_pylist() == [1, 2]
    assert read(tmp_path, "c,b,a\n9,x,1\n", keep_all=True).column_names == ["c", "b", "a"]


def test_blanks_around_separators_and_missing_markers(tmp_path: Path) -> None:
    table = read(tmp_path, "a, b\n1, x \n ?, ?\n,\n", missing=("?",))
    np.testing.assert_array_equal(as_numbers(table["a"]), [1, np.nan, np.nan])
    assert texts(table["b"], ("?",)) == ["x", None, None]


def test_quotes_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    table = read(tmp_path, b'\xef\xbb\xbfa,"b"\r\n1,"x, ""y"""\r\n')
    assert table["a"].to_pylist() == [1]
    assert texts(table["b"]) == ['x, "y"']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,x\n2,y,3\n", "line 3: expected 2 columns, found 3"),
        ("a,b\n1,x\n2\n", "line 3: expected 2 columns, found 1"),
        ("z,b,a\n1,x,1\n1,y,old\n", "line 3: 'a': expected a number, found 'old'"),
        ("a,b\n1,x\n\n\nold,y\n", "line 5: 'a': expected a number, found 'old'"),
        ("a,b\n" + "1,x\n" * 700_000 + "old,y\n", "line 700002: 'a': expected a number, found 'old'"),
        ("", "expected rows, found an empty file"),
        ("\n1,x\n", "line 1: expected a header"),
        ('a,"b\nc"\n1,x\n', "found a quote that this line does not end"),
        ("a,a\n1,x\n", "line 1: column 'a' is named twice"),
        (b"a,b\n1,x\n2,\xff\n", "line 3: expected UTF-8 text"),
        (b"a,\xff\n1,x\n", "line 1: expected UTF-8 text"),
        ('a,b\n1,x\n2,"y\nz"\n3,"x"\n', f"line 3: {OPEN}"),
        ('a,b\n1,x\n\n2,"y', f"line 4: {OPEN}"),
        (gzip.compress(b"a,b\n1,x\n" * 9999, mtime=0)[:-20], "broken gzip file"),
        (gzip.compress(b"a,b\n1,x\n" * 9999, mtime=0)[:-9] + b"\0" * 9, "broken gzip file"),
    ],
)
def test_a_broken_file_is_one_sentence_with_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert message in str(caught.value)
    assert str(tmp_path / "f.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_without_a_header_count_from_the_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 2: expected 2 columns, found 3"):
        read(tmp_path, "1,x\n2,y,3\n", names=("a", "b"))
    with pytest.raises(UserError, match="line 2: 'a': expected a number"):
        read(tmp_path, "1,x\nold,y\n", names=("a", "b"))
    with pytest.raises(UserError, match="expected rows, found an empty file"):
        read(tmp_path, "", names=("a", "b"))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.text("abc ,\"'é", max_size=6)), min_size=1, max_size=20))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]) -> None:
    quoted = (f'{number},"{text.replace(chr(34), chr(34) * 2)}"' for number, text in rows)
    table = read(tmp_path_factory.mktemp("csv"), "a,b\n" + "\n".join(quoted) + "\n")
    assert table["a"].to_pylist() == [number for number, _ in rows]
    assert texts(table["b"]) == [text.strip() or None for _, text in rows]


def test_lines_of_another_length_are_left_out_and_places_stay_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 64)
    lines = ["a,b", *(f"{i},x" if i % 5 else f"{i}" for i in range(1, 60))]
    path = tmp_path / "f.csv"
    path.write_text("\n".join(lines) + "\n")
    parts = list(read_csv(path, "f.csv", WANTED, Silent(), drop=True))
    found = {text: part.place(row) for part in parts for row, text in enumerate(texts(part.table["a"]))}
    assert len(parts) > 4
    assert found == {str(i): f"{path}, line {i + 1}" for i in range(1, 60) if i % 5}
    bad = [(reason, sentence()) for part in parts for reason, sentence in part.bad]
    assert bad == [("columns", f"{path}, line {i + 1}: expected 2 columns, found 1") for i in range(5, 60, 5)]


def is_open(line: str) -> bool:
    """Whether a line ends within quotes: Python's reader takes the next one for its continuation then."""
    return len(list(csv.reader([f"{line}\n", "end"]))) == 1


@settings(max_examples=300)
@given(st.text('",a \n', max_size=30), st.booleans())
def test_open_quotes_are_found_and_empty_lines_left_out(text: str, one_by_one: bool) -> None:
    lines = text.split("\n")
    source = [f"{line}\n".encode() for line in lines] if one_by_one else ["\r\n".join([*lines, ""]).encode()]
    kept = [line.encode() if not is_open(line) else b"\x1a,,," for line in lines if line]
    cleaned = b"".join(map(cleaner(",", 3), source))
    assert cleaned.replace(b"\r", b"").split(b"\n") == [*kept, b""]


def test_a_line_with_an_open_quote_is_dropped_alone(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text('a,b\n1,"x"\n2,"y\n3,"z"\n4,"u\nv"\n5,w\n')
    parts = list(read_csv(path, "f.csv", WANTED, Silent(), drop=True))
    assert texts(whole(parts).table["a"]) == ["1", "3", "5"]
    bad = [(reason, sentence()) for part in parts for reason, sentence in part.bad]
    assert bad == [
        ("quotes", f"{path}, line 3: {OPEN}"),
        ("quotes", f"{path}, line 5: {OPEN}"),
        ("columns", f"{path}, line 6: expected 2 columns, found 1"),
    ]


@pytest.mark.parametrize("start", [b"", b"a,b\n1,x\n"])
def test_a_line_without_end_is_refused_before_it_is_held(
    start: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    path, taken = tmp_path / "f.csv.gz", []

    @contextmanager
    def counted(path: Path, *advance: Any) -> Iterator[Any]:
        with open_raw(path, *advance) as stream:
            yield SimpleNamespace(read=lambda size: taken.append(size) or stream.read(size))

    monkeypatch.setattr(blocks, "open_raw", counted)
    path.write_bytes(gzip.compress(start + bytes(1_000_000), mtime=0))
    line = 1 + start.count(b"\n")
    with pytest.raises(UserError, match=f"line {line}: expected lines of at most 1,000 bytes, found a longer one"):
        whole(read_csv(path, "f.csv", WANTED, Silent()))
    with pytest.raises(UserError, match=f"line {line}: expected lines of at most"):
        list(read_double_colon(path, "f", WANTED, Silent(), names=("a,b",) if start else ("a",)))
    assert sum(taken) <= 6000
