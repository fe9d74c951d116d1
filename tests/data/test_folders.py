"""Folders, patterns and partitions: the rows of one file, read where they lie; bad ones are one
sentence.
"""

import datetime as dt
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.core.system import data_files
from bench.core.system.data_files import files_at, partitions
from bench.core.system.progress import Silent
from bench.data import fetch, parse_card, prepare
from bench.data.inspection.draft import CardRequest, draft_card
from bench.data.preparation import rows_of
from bench.data.readers.folders import with_folders
from bench.data.readers.parquet import read_parquet
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.logged_rows import read as read_log

DAYS, FILES = 30, 4
CUT = {
    "kind": "cut",
    "base": {
        "kind": "time",
        "train": {"last": "2026-11-10"},
        "valid": {"first": "2026-11-11", "last": "2026-11-15"},
        "test": {"first": "2026-11-16"},
    },
    "first": "2026-11-20",
    "last": "2026-11-22",
}


def log_of(rows=2400):
    """A shop's log of 30 days, without the column of the day."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 40, rows), rng.integers(0, 20, rows)
    click = rng.random(rows) < 0.2 + 0.4 * ((user + item) % 3 == 0)
    buy = click & (rng.random(rows) < 0.4)
    frame = {"user": user, "item": item, "price": rng.lognormal(3, 1, rows).round(2)}
    for name, label in (("p_click", click), ("p_buy", buy)):
        frame[name] = (0.3 + 0.4 * label * rng.random(rows)).round(4)
    return pd.DataFrame(frame | {"click": click.astype(int), "buy": buy.astype(int)})


def days(first=dt.date(2026, 11, 1)):
    return [first + dt.timedelta(day) for day in range(DAYS)]


def write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


def parted(folder, frame, ending=".parquet"):
    """Writes four files a day in folders of the days."""
    for number, rows in enumerate(np.split(np.arange(len(frame)), DAYS * FILES)):
        day = days()[number // FILES]
        part = folder / f"day={day}" / f"part-{number % FILES}{ending}"
        write(frame.iloc[rows], part)
    return folder


@pytest.fixture
def lake(tmp_path):
    """`log/`, partitioned by day, and `one.parquet` with the same rows in the same order."""
    frame = log_of()
    parted(tmp_path / "log", frame)
    write(frame.assign(day=np.repeat(days(), len(frame) // DAYS)), tmp_path / "one.parquet")
    return tmp_path


def card_of(name, kind="parquet", **values):
    card = {
        **dict.fromkeys(("id", "title", "licence", "citation", "homepage"), "shop"),
        "reader": {"kind": kind},
        "files": [{"name": name}],
        "group": "user",
        "time": "day",
        "columns": {
            "user": "categorical",
            "item": "categorical",
            "price": "numeric",
            "weekday": {"kind": "date-part", "from": "day", "part": "weekday"},
        },
        "tasks": [
            {"name": "click", "column": "click"},
            {"name": "buy", "column": "buy", "parent": "click"},
        ],
        "split": CUT["base"],
    }
    return parse_card(card | values, "here")


def asked_of(log, **values):
    return Asked(
        log=[str(log)], labels=["click", "buy"], models={"a": ["p_click", "p_buy"]}, **values
    )


@pytest.mark.parametrize("split", [CUT["base"], CUT], ids=["split", "cut"])
@pytest.mark.parametrize("name", ["log", "log/", "log/day=*/part-*.parquet", "l*/day=2026-11-*"])
def test_a_partitioned_log_makes_the_store_of_one_file(lake, name, split):
    one = prepare(card_of("one.parquet", split=split), lake / "home", lake)
    store = prepare(card_of(name, split=split), lake / "home", lake)
    assert store.path != one.path
    assert arrays(store) == arrays(one)
    assert prepare(card_of(name, split=split), lake / "home", lake).path == store.path


def test_so_do_csv_files_and_duplicates_count_the_day(lake):
    frame = pd.read_parquet(lake / "one.parquet")
    frame.loc[1::DAYS] = frame.loc[0::DAYS].to_numpy()  # also of another file
    write(frame, lake / "one.csv")
    parted(lake / "text", frame.drop(columns="day"), ".csv.gz")
    for path in lake.glob("text/*/part-3.csv.gz"):
        write(pd.read_csv(path), path.with_suffix(""))
        path.unlink()
    reader = {"kind": "csv", "drop_duplicates": True}
    one, many = [
        prepare(card_of(name, reader=reader), lake / "home", lake) for name in ("one.csv", "text")
    ]
    assert arrays(many) == arrays(one)
    assert many.manifest["duplicates_dropped"] == one.manifest["duplicates_dropped"] > 0


def test_a_draft_and_a_log_of_decide_are_those_of_one_file(lake):
    options = {"labels": ["click", "buy"], "parents": ["buy=click"], "time": "day", "id": "shop"}
    drafts = [
        draft_card(CardRequest(files=(lake / name,), **options), Silent())
        for name in ("one.parquet", "log", "log/day=*/part-*.parquet")
    ]
    assert [draft.layout.files for draft in drafts] == [
        ("one.parquet",),
        ("log",),
        ("day=*/part-*.parquet",),
    ]
    assert drafts[0].columns == drafts[1].columns == drafts[2].columns
    assert drafts[0].split.table == drafts[1].split.table == drafts[2].split.table
    one, many = [
        read_log(asked_of(lake / name, time="day", units="user"), Silent())
        for name in ("one.parquet", "log")
    ]
    for name, numbers in one.numbers.items():
        np.testing.assert_array_equal(many.numbers[name], numbers)
    for name, column in one.names.items():
        np.testing.assert_array_equal(many.names[name].codes, column.codes)
        np.testing.assert_array_equal(many.names[name].values, column.values)
    assert many.place(21).startswith("row 1 of ")
    assert "day=2026-11-01/part-1" in many.place(21)


def test_only_partitions_that_a_cut_needs_are_opened_and_only_columns_of_the_card(
    lake, monkeypatch
):
    one = prepare(card_of("one.parquet", split=CUT), lake / "home", lake)
    for path in lake.glob("log/day=2026-11-*/*"):
        if path.parent.name > "day=2026-11-22":
            path.write_text("no parquet")
    read = []
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda file, rows, columns: read.append(columns) or batches(file, rows, columns=columns),
    )
    card = card_of("log", split=CUT)
    assert arrays(prepare(card, lake / "home", lake)) == arrays(one)
    assert len(read) == 22 * FILES
    assert {name for columns in read for name in columns} == {
        "user",
        "item",
        "price",
        "click",
        "buy",
    }
    assert sum(len(part.labels) for part in rows_of(card, lake / "home", lake, Silent())) == 22 * 80


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["07", "12"], [7, 12]),
        (["2026-11-03", "2026-11-04"], [dt.date(2026, 11, 3), dt.date(2026, 11, 4)]),
        (["2026-11-03", "__HIVE_DEFAULT_PARTITION__"], [dt.date(2026, 11, 3), None]),
        (["2026-11-03", "2026-11-31"], ["2026-11-03", "2026-11-31"]),
        (["7", "new%20york"], ["7", "new york"]),
        (["12345678901234567890"], ["12345678901234567890"]),
        (["__HIVE_DEFAULT_PARTITION__"], [None]),
    ],
)
def test_the_type_of_a_key_is_that_of_all_its_values(texts, values):
    files = [Path("a=b", "plain", f"key={text}", f"other={text}", "x.csv") for text in texts]
    columns = [*partitions(files).values()]
    assert [partition["key"] for partition in columns] == values
    assert [[*partition] for partition in columns] == [["key", "other"]] * len(texts)


def test_files_of_a_folder_are_those_of_rows(tmp_path):
    names = ["b/x.csv", "a.parquet", "b/c/y.tsv.gz", "a-1/z.pq", "none/README.md"]
    skipped = ["_temporary/half.parquet", ".x.csv", "b/_x.csv", "notes.txt"]
    for name in (*names, *skipped):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in files_at(tmp_path)]
    assert found == ["a-1/z.pq", "a.parquet", "b/c/y.tsv.gz", "b/x.csv"]
    assert files_at(tmp_path / "b" / "*.csv") == [tmp_path / "b/_x.csv", tmp_path / "b/x.csv"]
    (tmp_path / "x[1]").mkdir()
    (tmp_path / "x[1]" / "a*.csv").touch()
    assert files_at(tmp_path / "x[1]" / "a*.csv") == [tmp_path / "x[1]" / "a*.csv"]
    assert files_at(tmp_path / "x[1]" / "*") == [tmp_path / "x[1]" / "a*.csv"]


def test_a_column_of_the_file_counts_before_its_folder(lake):
    frame = pd.read_parquet(lake / "one.parquet")
    for path in lake.glob("log/*/*"):
        path.unlink()
    write(frame, lake / "log" / "day=2026-11-01" / "x.parquet")
    one, many = [
        prepare(card_of(name), lake / "home", lake) for name in ("one.parquet", "log/*/x.parquet")
    ]
    assert arrays(many) == arrays(one)


def test_files_of_other_types_are_one_table_and_later_columns_are_missing(lake):
    """As in the one file that a table library would make of them."""
    frame = pd.read_parquet(lake / "one.parquet")
    names = sorted(lake.glob("log/*/*"))
    for number, path in enumerate(names):
        part = pd.read_parquet(path, partitioning=None)
        if number < 10:
            part = part.drop(columns="price")
        if number % 2:
            part = part.astype({"item": "int32", "user": "category"})
        if number % 3 == 0:
            part["user"] = part["user"].astype("float64")
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), path)
    frame.loc[: 10 * 20 - 1, "price"] = np.nan
    write(frame, lake / "one.parquet")
    one, many = [
        prepare(
            card_of(
                name,
                post_exposure=["price"],
                columns={"item": "categorical", "user": "categorical"},
            ),
            lake / "home",
            lake,
        )
        for name in ("one.parquet", "log")
    ]
    assert arrays(many) == arrays(one)
    one, many = [prepare(card_of(name), lake / "home", lake) for name in ("one.parquet", "log")]
    assert arrays(many) == arrays(one)
    request = CardRequest(files=(lake / "log",), labels=["click"], time="day")
    assert draft_card(request, Silent()).layout.columns[0] == "user"


def bad_source(folder, fault):
    """Makes `log` a bad source; returns its address."""
    part = folder / "log" / "day=2026-11-05" / "part-1.parquet"
    if fault == "an empty partition":
        (folder / "log" / "day=2026-12-01").mkdir()
    elif fault == "another schema":
        frame = pd.read_parquet(part, partitioning=None)
        for name in ("price", "click", "p_click"):
            frame[name] = "dear"
        frame.to_parquet(part, index=False)
    elif fault == "half a file":
        os.truncate(part, 2000)
    elif fault == "mixed keys":
        write(pd.read_parquet(part, partitioning=None), folder / "log" / "hour=3" / "x.parquet")
    elif fault == "no match":
        return folder / "log" / "day=*" / "x-*.parquet"
    elif fault == "an empty folder":
        (folder / "empty").mkdir()
        return folder / "empty"
    return folder / "log"


def drafted(address, home):
    draft_card(CardRequest(files=(address,), labels=["click"], time="day"), Silent())


def prepared(address, home):
    root = home.parent
    prepare(card_of(address.relative_to(root).as_posix()), home, root)


def decided(address, home):
    read_log(asked_of(address, time="day"), Silent())


@pytest.mark.parametrize("read", [drafted, prepared, decided])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("an empty partition", "day=2026-12-01: expected CSV or parquet files"),
        ("another schema", "day=2026-11-05/part-1.parquet"),
        ("half a file", "day=2026-11-05/part-1.parquet"),
        ("mixed keys", "expected folders of the same keys for all files, found day of"),
        ("no match", "x-*.parquet"),
        ("an empty folder", "empty"),
        ("no rights", "cannot be read: Permission denied"),
        ("a file that changes", "changed while"),
    ],
)
def test_a_bad_source_is_one_sentence_and_nothing_is_half_written(
    lake, fault, message, read, monkeypatch
):
    address = bad_source(lake, fault)
    if fault == "no rights":  # tests may run as a user who may read all
        refused = PermissionError(13, "Permission denied")
        monkeypatch.setattr(Path, "iterdir", lambda folder: (_ for _ in ()).throw(refused))
    if fault == "a file that changes":
        states = iter(range(10**6))
        monkeypatch.setattr(data_files, "state_of", lambda file: [0, next(states)])
        monkeypatch.setattr(fetch, "state_of", lambda file: [0, next(states)])
    with pytest.raises(UserError) as caught:
        read(address, lake / "home")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [
        path for path in lake.rglob("home/**/*") if path.name != "digests.json" and path.is_file()
    ]


def test_a_file_that_changes_between_its_parts_is_found_out(lake, monkeypatch):
    path = lake / "one.parquet"
    parts = with_folders(path, {}, read_parquet(path, "one", {"user": "text"}, Silent()))
    next(parts)
    os.utime(path, (0, 0))
    with pytest.raises(UserError, match=r"one\.parquet: changed while it was read"):
        list(parts)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.csv", "a//x.csv", "./x.csv", "a\\b", "/"])
def test_a_card_names_files_below_its_folder(name):
    with pytest.raises(UserError, match="files"):
        card_of(name)


def test_another_partition_is_another_store(lake):
    """Though its files hold the same."""
    card = card_of("log")
    store = prepare(card, lake / "home", lake)
    names = [file["name"] for file in store.manifest["files"]]
    assert names[:2] == ["day=2026-11-01/part-0.parquet", "day=2026-11-01/part-1.parquet"]
    (lake / "log" / "day=2026-11-30").rename(lake / "log" / "day=2026-12-24")
    assert prepare(card, lake / "home", lake).path != store.path
    json.dumps(store.manifest)
