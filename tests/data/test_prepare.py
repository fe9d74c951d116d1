"""What is left out or dropped, what is refused in a sentence, and what makes a store another
one.
"""

import gzip
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.checks import Rejects, Sieve, check_times
from bench.data.preparation import passing_store
from bench.data.readers import base
from bench.data.splits import FileSplit
from bench.data.two_passes import FirstPass


@pytest.mark.parametrize("end", [20240109, "20240109"])
def test_what_is_left_out_is_said(end, shop, shop_raw, tmp_path, recorder):
    valid = {"first": type(end)(20240107), "last": type(end)(20240108)}
    shop |= {"time": "day", "reader": {"kind": "csv", "drop_duplicates": True}}
    shop["split"] = {
        "kind": "time",
        "train": {"last": type(end)(20240106)},
        "valid": valid,
        "test": {"first": end, "last": end},
    }
    lines = (shop_raw / "log.csv").read_text().splitlines()
    lines[3:6] = [line.replace(",20240101,", ",,") for line in lines[3:6]]
    (shop_raw / "log.csv").write_text("\n".join([*lines, lines[7], lines[8], ""]))
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw, recorder)
    assert (store.manifest["duplicates_dropped"], store.manifest["outside_splits"]) == (2, 23)
    assert recorder.notes == [
        "shop: dropped 2 rows that are equal to an earlier one",
        "shop: left out 23 rows that fall into no split, 3 of them because 'day' is empty",
    ]


def test_the_fingerprint_follows_content_not_prose(shop, shop_raw, tmp_path):
    def mark():
        return prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).fingerprint

    first = mark()
    shop |= {"title": "Another", "citation": "x", "licence": "y", "homepage": "z"}
    assert mark() == first
    shop["columns"]["price"]["log1p"] = True
    second = mark()
    (shop_raw / "log.csv").write_text((shop_raw / "log.csv").read_text() + "u1,,,0,0,20240110,1\n")
    assert len({first, second, mark()}) == 3


def test_nothing_but_train_is_fitted_on(shop, shop_raw, tmp_path):
    """Other test rows, labels among them, change neither the encoder nor a bit of train."""
    shop["split"] = {
        "kind": "files",
        "train": ["log.csv"],
        "test": ["new.csv"],
        "valid_fraction": 0.3,
    }
    shop["files"].append({"name": "new.csv"})
    shop["encoding"] = {"target_rates": ["user"]}
    text = (shop_raw / "log.csv").read_text()
    stores = []
    for number, new in enumerate((text, text.replace("\nu", "\nv").replace(",1,", ",0,", 20))):
        (shop_raw / "new.csv").write_text(new)
        stores.append(arrays(prepare(parse_card(shop, "here"), tmp_path / str(number), shop_raw)))
    for name in stores[0]:
        assert (stores[0][name] == stores[1][name]) == (not name.startswith("test/")), name


def test_a_passing_store_stays_until_nobody_has_it(shop, shop_raw, tmp_path):
    arguments = parse_card(shop, "here"), tmp_path / "home", shop_raw
    with passing_store(*arguments) as first:
        with passing_store(*arguments) as second:
            assert second.path == first.path
        second.check()
        with pytest.raises(UserError, match="as it failed"), passing_store(*arguments):
            raise UserError("as it failed")
        first.check()
    assert [*first.path.parent.iterdir()] == []


def test_a_store_outlives_its_raw_files(shop, shop_raw, tmp_path):
    card = parse_card(shop, "here")
    store = prepare(card, tmp_path / "home", shop_raw)
    assert prepare(card, tmp_path / "home").path == store.path
    shop["encoding"] = {"min_count": 3}
    with pytest.raises(UserError, match=r"could not get log\.csv"):
        prepare(parse_card(shop, "here"), tmp_path / "home")


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("city,user\nRome,u1\nOslo,u1\n", "users.csv, line 3: key 'user' = u1 is there twice"),
        ("city,who\nRome,u1\n", "cannot join users.csv: users.csv have no column 'user'"),
        ("town,user\nRome,u1\n", "log.csv: unknown raw column 'city'"),
    ],
)
def test_side_tables_that_do_not_fit(shop, shop_raw, tmp_path, monkeypatch, side, message):
    monkeypatch.setattr(base, "PART", 7)
    (shop_raw / "users.csv").write_text(side)
    shop["files"].append({"name": "users.csv"})
    shop["reader"]["joins"] = [{"file": "users.csv", "on": "user"}]
    shop["columns"]["city"] = "categorical"
    with pytest.raises(UserError, match=message):
        prepare(parse_card(shop, "here"), tmp_path, shop_raw)


AFTER = {
    "kind": "time",
    "train": {"last": 20240105},
    "valid": {"first": 20240106},
    "test": {"first": 20240201},
}
AFTER["valid"] |= {"last": 20240110}
NEVER = {"name": "click", "column": "click", "where": {"price": {"last": -1}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"age": "numeric"}}, "log.csv: unknown raw column 'age'"),
        (
            {"columns": {"user": "numeric"}},
            "log.csv, line 2: 'user': expected a number, found 'u0'",
        ),
        (
            {"time": "day", "split": AFTER},
            "split 'test' is empty: 'day' runs from 20240101 to 20240110 in log.csv",
        ),
        (
            {"tasks": [NEVER]},
            "'click' needs both classes in split 'train', but 0 of 0 are positive",
        ),
    ],
)
def test_data_that_does_not_fit_its_card_is_one_sentence(
    shop, shop_raw, tmp_path, monkeypatch, change, message
):
    monkeypatch.setattr(base, "PART", 7)
    with pytest.raises(UserError) as caught:
        prepare(parse_card(shop | change, "here"), tmp_path, shop_raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


BAD = {
    "columns": [b"u1,2.5,a,1", b"u1,2.5,a,1,0,20240101,1,9"],
    "number": [b"u1,old,a,1,0,20240101,1", b"u1,1_0,a,1,0,20240101,1"],
    "label": [b"u1,1,a,maybe,0,20240101,1"],
    "bytes": [b"u\xff,1,a,1,0,20240101,1"],
}


def spoil(path, bad):
    """Puts a bad line after every 20th, from line 41 on."""
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(bad):
        lines.insert(40 + 20 * number, line)
    path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("part", [7, 1 << 16])
def test_what_is_left_is_what_was_good(shop, shop_raw, tmp_path, recorder, monkeypatch, part):
    monkeypatch.setattr(base, "PART", part)
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
        (
            "2024-03-01T10:00:00+02:00",
            ["2024-02-01 10:00Z", "2024-03-01T08:00:00.5-05:30"],
            ["2024-03-01T10:00:00"],
        ),
        ("2024-03-01 10:00", ["2024-03-01 10:00:59"], ["2024-03-01 10:00Z"]),
        (
            "2024-03-01",
            ["2024-03-01T10:00:00+02:00", "2024-03-01T10:00"],
            ["2024-03-01T25:00+02:00", "1/3/2024"],
        ),
        ("2024-03-01", [], ["0001-01-01T00:00:00+02:00", "9999-12-31T23:00:00-02:00"]),
    ],
)
def test_times_are_spelled_as_the_ends_of_the_split_or_with_another_offset(end, good, bad):
    sieve = Sieve(Rejects(drop=True), lambda row: f"row {row}", len(good) + len(bad))
    check_times(pa.array([*good, *bad]), "ts", [end], (), sieve)
    assert sieve.bad.tolist() == [False] * len(good) + [True] * len(bad)
    assert (
        sieve.rejects.first
        == f"row {len(good)}: 'ts': expected a time such as '{end}', found '{bad[0]}'"
    )


def zstd(content):
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


@pytest.fixture
def plain(shop, shop_raw, tmp_path):
    return prepare(parse_card(shop, "here"), tmp_path / "plain", shop_raw)


def members(content):
    return gzip.compress(content[:999]) + gzip.compress(content[999:])


@pytest.mark.parametrize(
    ("end", "pack"), [(".gz", members), (".zst", zstd), ("", zstd), ("", gzip.compress)]
)
def test_packing_is_seen_by_content(end, pack, plain, shop, shop_raw, tmp_path, recorder):
    content = (shop_raw / "log.csv").read_bytes()
    (shop_raw / "log.csv").unlink()
    path = shop_raw / f"log.csv{end}"
    path.write_bytes(pack(content))
    store = prepare(parse_card(shop, "here"), tmp_path / "packed", shop_raw, recorder)
    assert arrays(store) == arrays(plain)
    assert store.fingerprint == plain.fingerprint
    assert recorder.done[f"reading {path.name}"] == path.stat().st_size


def cut(raw, into):
    """The log in several files, each with its header."""
    header, *lines = (raw / "log.csv").read_text().splitlines()
    step = -(-len(lines) // len(into))
    for number, name in enumerate(into):
        text = "\n".join([header, *lines[number * step : (number + 1) * step]]) + "\n"
        pack = {".gz": gzip.compress, ".zst": zstd}.get(Path(name).suffix, bytes)
        (raw / name).write_bytes(pack(text.encode()))


def test_a_pattern_stands_for_all_files_that_match(plain, shop, shop_raw, tmp_path):
    cut(shop_raw, ["part-1.csv", "part-10.csv.gz", "part-2.csv.zst"])  # sorted as texts
    (shop_raw / ".part-3.csv").write_text("nonsense")
    (shop_raw / "part-4.csv").mkdir()
    shop["files"] = [{"name": "part-*.csv"}]
    home = tmp_path / "home"
    store = prepare(parse_card(shop, "here"), home, shop_raw)
    assert arrays(store) == arrays(plain)
    assert [file["name"] for file in store.manifest["files"]] == [
        "part-1.csv",
        "part-10.csv",
        "part-2.csv",
    ]
    assert prepare(parse_card(shop, "here"), home, shop_raw).path == store.path
    cut(shop_raw, ["part-9.csv"])
    grown = prepare(parse_card(shop, "here"), home, shop_raw)
    assert grown.fingerprint != store.fingerprint
    assert sum(split["rows"] for split in grown.manifest["splits"].values()) == 400
    (shop_raw / "part-9.csv").unlink()
    assert prepare(parse_card(shop, "here"), home, shop_raw).path == store.path


@pytest.mark.parametrize(
    ("keys", "may_count"),
    [
        ({}, [True, True, False]),  # train is in the first two files
        ({"split": None}, [True, True, True]),
        ({"history": object()}, [True, True, True]),
        ({"before": object()}, [True, True, True]),
    ],
)
def test_new_values_count_up_to_the_last_file_of_train(keys, may_count):
    """Later ones cost memory, and are unknown to the encoder; not so where histories or an earlier
    encoder ask.
    """
    files = ["a.csv", "b.csv", "c.csv"]
    split = FileSplit.model_construct(train=files[:2])
    card = SimpleNamespace(**{"history": None, "row_files": files, "split": split} | keys)
    first_pass = FirstPass(card, keys.get("before"), None, None, None, None, [])
    assert [first_pass.new_values_count(file) for file in files] == may_count
