from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from bench.core.errors import UserError
from bench.data.inspection.column import count_column
from bench.data.inspection.labels import find_labels
from bench.data.inspection.split import Rows, Wish, assigned, find_split, named_files
from bench.data.splits import CONFIRM, VALID, SplitRule

N = 1000


def split(wish: Wish, files: tuple[str, ...] = ("a.csv",), label=None, **columns):
    label = np.arange(N) % 2 if label is None else label
    counted = {name: count_column(name, pa.array(values)) for name, values in (columns | {"y": label}).items()}
    file = np.arange(N) * len(files) // N
    wish.check()
    found = find_split(wish, Rows(files, file.astype(np.int16), counted), find_labels({"y": None}, {}, counted))
    TypeAdapter(SplitRule).validate_python(found.table)
    return found


def rows(found) -> list[int]:
    """Of train, both halves of validation, and test."""
    train, valid, confirm, test = (counts.rows for counts in found.counts.values())
    assert 0.3 < confirm / (valid + confirm) < 0.7
    return [train, valid + confirm, test]


def test_times_are_cut_where_the_shares_say() -> None:
    found = split(Wish(time="t", valid=0.15, test=0.25), t=np.random.default_rng(0).permutation(N))
    assert rows(found) == [600, 150, 250]
    assert found.table["valid"] == {"first": 600, "last": 749}
    assert found.table["train"] == {"last": 599}
    assert found.outside == 0


def test_positives_are_counted_beside_the_rows_that_have_a_label() -> None:
    label = np.where(np.arange(N) % 4 == 0, None, np.arange(N) % 3 == 0)
    counts = split(Wish(time="t"), label=label, t=np.arange(N)).counts["train"]
    assert (counts.rows, counts.facts()["y"]["observed"], counts.facts()["y"]["positives"]) == (800, 600, 200)


def test_groups_of_few_rows_are_said_to_rank_nothing() -> None:
    lonely = split(Wish(time="t", group="row"), t=np.arange(N), row=np.arange(N))
    assert "A value of 'row' has only 1.0 rows on average" in lonely.why[-1]
    three, five = (split(Wish(time="t", group="user"), t=np.arange(N), user=np.arange(N) // rows) for rows in (3, 5))
    assert "A random order of so few has an ndcg@5 of 0.71" in three.why[-1]
    assert "ndcg" not in five.why[-1]


def test_times_too_large_to_be_told_apart_are_one_time() -> None:
    large = [2**53 + n // 4 for n in range(N)]
    table = split(Wish(time="t"), t=large).table
    assert table["train"]["last"] < table["valid"]["first"] <= table["valid"]["last"] < table["test"]["first"]


def test_an_hour_of_the_day_is_no_time() -> None:
    with pytest.raises(UserError, match=r"'event_hour'.*found 0 to 23, which says nothing of the day"):
        split(Wish(time="event_hour"), event_hour=np.arange(N) % 24)
    assert split(Wish(time="hour"), hour=np.arange(N) + 2024010100).table["kind"] == "time"


def test_between_whole_numbers_there_is_no_gap() -> None:
    table = split(Wish(time="t"), t=np.arange(N) * 10).table
    assert table["train"]["last"] == 7999
    assert table["valid"] == {"first": 8000, "last": 8999}


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
def test_texts_that_sort_are_cut_as_texts(form: str) -> None:
    days = np.datetime64("2024-01-01") + np.arange(N)
    found = split(Wish(time="t"), t=[day.astype(object).strftime(form) for day in days])
    assert rows(found) == [800, 100, 100]
    assert isinstance(found.table["train"]["last"], str)


@pytest.mark.parametrize("zone", ["text", "Europe/Berlin"])
def test_times_with_several_offsets_are_cut_by_instant(zone: str) -> None:
    """Around the end of summer time local times repeat, and elsewhere offsets differ from row to row."""
    instant = np.datetime64("2024-10-26T12:00:00") + np.arange(N) * np.timedelta64(120, "s")
    times = pa.array(instant.astype("datetime64[us]"), pa.timestamp("us", zone))
    if zone == "text":
        offset = np.arange(N) % 3 - 1
        local = instant + offset * np.timedelta64(3600, "s")
        times = [f"{time}{hours:+03d}:00" for time, hours in zip(local, offset, strict=True)]
    counted = {"t": count_column("t", pa.array(times)), "y": count_column("y", pa.array(np.arange(N) % 2))}
    wish = Wish(time="t")
    given = Rows(("a",), np.zeros(N, np.int16), counted)
    found = find_split(wish, given, find_labels({"y": None}, {}, counted))
    of_rows = assigned(found.table, wish, given)
    of_rows[of_rows == CONFIRM] = VALID
    assert np.bincount(of_rows).tolist() == [800, 100, 0, 100]
    assert (np.diff(of_rows) >= 0).all()


def test_timestamps_of_parquet_are_cut_as_the_texts_they_become() -> None:
    times = pa.array(np.datetime64("2024-01-01T00:00:00.000000") + np.arange(N) * np.timedelta64(700, "ms"))
    assert rows(split(Wish(time="t"), t=times)) == [800, 100, 100]


def test_rows_without_time_are_left_out_and_told() -> None:
    found = split(Wish(time="t"), t=pa.array([None if i < 100 else i for i in range(N)]))
    assert found.outside == 100
    assert any("100 rows have no time" in sentence for sentence in found.why)
    [told] = [each for each in split(Wish(time="t"), t=pa.array([None, *range(1, N)])).why if "no time" in each]
    assert told == "1 row has no time; left out."


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([f"{i % 28 + 1}/3/2024" for i in range(N)], "found '1/3/2024'"),
        (["2024-03-01", "2024-03-01 10:00"] * (N // 2), "one form"),
        (["2024-03-01", "1709251200000"] * (N // 2), "found '1709251200000' beside '2024-03-01'"),
        ([f"2024-{i % 14 + 1:02d}-01T00:00+02:00" for i in range(N)], "found '2024-13-01T00:00[+]02:00'"),
        (["2024-03-01T10:00:00", "2024-03-01T10:00:00Z"] * (N // 2), "one form"),
        (["2024-03-01Z"] * N, "of one form such as"),
        ([1709251200, 1709251200000] * (N // 2), "one unit, found seconds and milliseconds"),
        ([1, 2] * (N // 2), "2 distinct values"),
        ([None] * N, "no value"),
    ],
)
def test_times_that_cannot_be_cut(times, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split(Wish(time="t"), t=times)


def test_by_what_is_given() -> None:
    assert split(Wish()).table["kind"] == "random"
    by_group = split(Wish(group="g"), g=np.arange(N) // 4).table
    assert (by_group["kind"], by_group["column"]) == ("hash", "g")
    assert split(Wish(group="g", time="t"), g=np.arange(N) // 4, t=np.arange(N)).table["kind"] == "time"
    drawn = split(Wish(kind="random", group="g"), g=np.arange(N) // 4).table
    assert (drawn["kind"], drawn["unit"]) == ("random", "group")


def test_files_in_the_order_given() -> None:
    names = ("a.csv", "b.csv", "c.csv", "d.csv")
    found = split(Wish(kind="files"), files=names).table
    assert (found["train"], found["valid"], found["test"]) == (["a.csv", "b.csv"], ["c.csv"], ["d.csv"])
    two = split(Wish(kind="files"), files=names[:2]).table
    assert two["valid_fraction"] == 0.1
    with pytest.raises(UserError, match="two files or more"):
        split(Wish(kind="files"))


def test_a_column_that_says_it() -> None:
    where = np.array(["Train", "train", "dev", "test", "junk"])[np.arange(N) // 2 % 5]
    found = split(Wish(kind="column", column="part"), part=where)
    assert sorted(found.table["train"]) == ["Train", "train"]
    assert (found.table["valid"], found.table["test"]) == (["dev"], ["test"])
    assert found.outside == 200
    with pytest.raises(UserError, match="for test"):
        split(Wish(kind="column", column="part"), part=np.where(where == "test", "x", where))


def test_files_go_where_their_names_say() -> None:
    found = split(Wish(kind="files"), files=("shop-test.csv", "shop-train-1.csv", "more.csv")).table
    assert (found["train"], found["test"]) == (["shop-train-1.csv", "more.csv"], ["shop-test.csv"])
    assert found["valid_fraction"] == 0.1
    assert named_files(("a-train-test.csv", "b.csv")) is None
    assert named_files(("contest.csv", "strain.csv")) is None


PART = np.where(np.arange(N) < 700, "train", "test")


def test_without_validation_it_is_taken_from_train_by_share() -> None:
    found = split(Wish(kind="column", column="part"), part=PART)
    assert found.table["valid_fraction"] == 0.1
    assert rows(found)[2] == 300
    assert 40 < rows(found)[1] < 100
    assert "valid is taken from train: 10% of its rows" in found.why[1]


def test_without_validation_it_is_taken_from_train_by_time_where_test_is_later() -> None:
    for times in (np.arange(N), [f"2024-{n // 100 + 1:02d}-{n % 100 // 4 + 1:02d}" for n in range(N)]):
        found = split(Wish(kind="column", column="part", time="t"), part=PART, t=times)
        assert rows(found) == [630, 70, 300] if isinstance(times, np.ndarray) else rows(found)[1] >= 70
        assert "test is later than train" in found.why[1]
    mixed = np.random.default_rng(0).permutation(N)
    assert "valid_from" not in split(Wish(kind="column", column="part", time="t"), part=PART, t=mixed).table


def test_without_validation_it_is_taken_from_train_by_group_where_test_has_others() -> None:
    apart, shared = np.arange(N) // 4, np.arange(N) % 50
    by_group = split(Wish(kind="column", column="part", group="g"), part=PART, g=apart)
    assert by_group.table["unit"] == "group"
    assert "by its hash" in by_group.why[1]
    assert "unit" not in split(Wish(kind="column", column="part", group="g"), part=PART, g=shared).table


def test_a_class_that_a_split_lacks_is_a_clear_error() -> None:
    said = r"by a split by time: task 'y' needs both classes in split 'valid' \(half of validation\), but 0 of"
    with pytest.raises(UserError, match=said):
        split(Wish(time="t"), label=(np.arange(N) < 500).astype(int), t=np.arange(N))


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(valid=0.5, test=0.5), "nothing is left"),
        (Wish(valid=0), "between 0 and 1"),
        (Wish(kind="time"), "--time"),
        (Wish(kind="hash"), "--group"),
        (Wish(kind="column"), "--split-column"),
        (Wish(time="t", column="c"), "--split-column is for"),
    ],
)
def test_wishes_that_cannot_be(wish: Wish, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wish.check()
