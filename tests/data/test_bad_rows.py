"""`on_bad_row = "drop"`: what is left out, what is counted, and what is still a failure."""

import pyarrow as pa
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.checks import Rejects, Sieve, check_times
from bench.data.readers import base

BAD = {
    "columns": [b"u1,2.5,a,1", b"u1,2.5,a,1,0,20240101,1,9"],
    "number": [b"u1,old,a,1,0,20240101,1", b"u1,1_0,a,1,0,20240101,1"],
    "label": [b"u1,1,a,maybe,0,20240101,1"],
    "bytes": [b"u\xff,1,a,1,0,20240101,1"],
}


@pytest.fixture(params=[7, 1 << 16], autouse=True)
def part_size(request, monkeypatch):
    monkeypatch.setattr(base, "PART", request.param)


def spoil(path, bad):
    """Puts a bad line after every 20th, from line 41 on."""
    lines = path.read_bytes().splitlines()
    for at, line in enumerate(bad):
        lines.insert(40 + 20 * at, line)
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_what_is_left_is_what_was_good(shop, shop_raw, tmp_path, recorder):
    clean = prepare(parse_card(shop, "here"), tmp_path / "clean", shop_raw)
    bad = [line for lines in BAD.values() for line in lines]
    spoil(shop_raw / "log.csv", bad)
    with pytest.raises(UserError, match=r"log\.csv, line 41: expected 7 columns, found 4"):
        prepare(parse_card(shop, "here"), tmp_path / "strict", shop_raw)
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 0.05}
    store = prepare(parse_card(shop, "here"), tmp_path / "kept", shop_raw, recorder)
    assert arrays(store) == arrays(clean)
    assert store.manifest["bad_rows"] == {name: len(lines) for name, lines in BAD.items()}
    first = store.manifest["first_bad_row"]
    assert first == f"{shop_raw / 'log.csv'}, line 41: expected 7 columns, found 4"
    (note,) = recorder.notes
    assert note.startswith(f"shop: dropped {len(bad)} bad rows (")
    assert note.endswith(first)


@pytest.mark.parametrize(
    ("end", "good", "bad"),
    [
        ("2024-03-01T10:00:00+02:00", ["2024-02-01 10:00Z", "2024-03-01T08:00:00.5-05:30"], ["2024-03-01T10:00:00"]),
        ("2024-03-01 10:00", ["2024-03-01 10:00:59"], ["2024-03-01 10:00Z"]),
        ("2024-03-01", ["2024-03-01T10:00:00+02:00", "2024-03-01T10:00"], ["2024-03-01T25:00+02:00", "1/3/2024"]),
        ("2024-03-01", [], ["0001-01-01T00:00:00+02:00", "9999-12-31T23:00:00-02:00"]),
    ],
)
def test_times_are_spelled_as_the_ends_of_the_split_or_with_another_offset(end, good, bad):
    sieve = Sieve(Rejects(drop=True), lambda row: f"row {row}", len(good) + len(bad))
    check_times(pa.array([*good, *bad]), "ts", [end], (), sieve)
    assert sieve.bad.tolist() == [False] * len(good) + [True] * len(bad)
    assert sieve.rejects.first == f"row {len(good)}: 'ts': expected a time such as '{end}', found '{bad[0]}'"
