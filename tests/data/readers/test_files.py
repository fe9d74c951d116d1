"""Files of CSV and parquet, each compared with what was written."""

import gzip
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.errors import UserError
from bench.core.system.progress import Silent
from bench.data.checks import Rejects, Sieve, checked
from bench.data.readers import blocks
from bench.data.readers.base import whole
from bench.data.readers.blocks import open_raw
from bench.data.readers.csv import OPEN, read_csv, read_double_colon
from bench.data.readers.parquet import read_parquet
from bench.data.values import as_text

WANTED = {"a": "number", "b": "text"}


def texts(column, missing=()):
    text = as_text(column, missing)
    return [None if code < 0 else text.values[code] for code in text.codes]


def read(tmp_path, content, **options):
    path = tmp_path / "f.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return whole(read_csv(path, "f.csv", options.pop("wanted", WANTED), Silent(), **options)).table


def test_quotes_byte_order_mark_and_windows_lines(tmp_path):
    for end in (b"", b"\r\n", b"\r\n\r\n\n"):
        table = read(tmp_path, b'\xef\xbb\xbfa,"b"\r\n1,"x, ""y"""' + end)
        assert table["a"].to_pylist() == [1]
        assert texts(table["b"]) == ['x, "y"']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,x\n\n\r\n2,y,3\n", "line 5: expected 2 columns, found 3"),
        ("z,b,a\n1,x,1\n1,y,old\n", "line 3: 'a': expected a number, found 'old'"),
        (
            "a,b\n" + "1,x\n" * 700_000 + "old,y\n",
            "line 700002: 'a': expected a number, found 'old'",
        ),
        ("", "expected rows, found an empty file"),
        ("a,a\n1,x\n", "line 1: column 'a' is named twice"),
        (b"a,b\n1,x\n2,\xff\n", "line 3: expected UTF-8 text"),
        ('a,b\n1,x\n2,"y\nz"\n3,"x"\n', f"line 3: {OPEN}"),
        (gzip.compress(b"a,b\n1,x\n" * 9999, mtime=0)[:-20], "broken gzip file"),
    ],
)
def test_a_broken_file_is_one_sentence_with_the_line(tmp_path, content, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert message in str(caught.value)
    assert str(tmp_path / "f.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_of_another_length_are_left_out_and_places_stay_right(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 64)
    lines = ["a,b", *(f"{i},x" if i % 5 else f"{i}" for i in range(1, 60))]
    path = tmp_path / "f.csv"
    path.write_text("\n".join(lines) + "\n")
    parts = list(read_csv(path, "f.csv", WANTED, Silent(), drop=True))
    place_of = {
        text: part.place(row) for part in parts for row, text in enumerate(texts(part.table["a"]))
    }
    assert len(parts) > 4
    assert place_of == {str(i): f"{path}, line {i + 1}" for i in range(1, 60) if i % 5}
    bad = [(reason, sentence()) for part in parts for reason, sentence in part.bad]
    assert bad == [
        ("columns", f"{path}, line {i + 1}: expected 2 columns, found 1") for i in range(5, 60, 5)
    ]


@pytest.mark.parametrize("start", [b"", b"a,b\n1,x\n"])
def test_a_line_without_end_is_refused_before_it_is_held(start, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    path, taken = tmp_path / "f.csv.gz", []

    @contextmanager
    def counted(path, *advance):
        with open_raw(path, *advance) as stream:
            yield SimpleNamespace(read=lambda size: taken.append(size) or stream.read(size))

    monkeypatch.setattr(blocks, "open_raw", counted)
    path.write_bytes(gzip.compress(start + bytes(1_000_000), mtime=0))
    line = 1 + start.count(b"\n")
    with pytest.raises(
        UserError, match=f"line {line}: expected lines of at most 1,000 bytes, found a longer one"
    ):
        whole(read_csv(path, "f.csv", WANTED, Silent()))
    with pytest.raises(UserError, match=f"line {line}: expected lines of at most"):
        list(read_double_colon(path, "f", WANTED, Silent(), names=("a,b",) if start else ("a",)))
    assert sum(taken) <= 6000


def test_bytes_are_texts(tmp_path, recorder):
    path = tmp_path / "f.parquet"
    pq.write_table(
        pa.table(
            {"a": [b"x", None, b"\xff"], "b": pa.array([b"y", b"z", None], pa.large_binary())}
        ),
        path,
    )
    table = whole(read_parquet(path, "f", {"a": "text", "b": "text"}, recorder)).table
    assert table["b"].to_pylist() == ["y", "z", None]
    assert table["a"].slice(0, 2).to_pylist() == ["x", None]
    sieve = Sieve(Rejects(drop=True), str, 3)
    checked(table, {"a": "text", "b": "text"}, (), sieve)
    assert sieve.bad.tolist() == [False, False, True]


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("s", "Asia/Tokyo"), pa.date32(), pa.date64()]
)
def test_dates_that_python_does_not_have_are_bad_rows(kind):
    day = np.array([0, 3_000_000, -800_000, 2932896])
    size = {"us": 86400_000_000, "s": 86400, "ms": 86400_000}
    days = pa.types.is_date32(kind)
    numbers = pa.array(
        day * (1 if days else size[getattr(kind, "unit", "ms")]), pa.int32() if days else pa.int64()
    )
    sieve = Sieve(Rejects(drop=True), lambda row: f"row {row}", len(day))
    table = checked(pa.table({"at": numbers.cast(kind)}), {"at": "text"}, (), sieve)
    assert sieve.bad.tolist() == [False, True, True, getattr(kind, "tz", None) is not None]
    assert (
        sieve.rejects.first == "row 1: 'at': expected a date of the years 1 to 9999, found another"
    )
    assert as_text(table["at"]).codes.tolist()[:3] == [0, -1, -1]
