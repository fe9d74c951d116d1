import numpy as np
import pyarrow as pa
import pytest
from data_toys import sample_of
from pydantic import TypeAdapter

from bench.core.errors import UserError
from bench.data.inspection.labels import find_labels
from bench.data.inspection.split import Wish, assigned, find_split
from bench.data.splits import CONFIRM, VALID, SplitRule

N = 1000


def split(wish, files=("a.csv",), label=None, **columns):
    sample = sample_of(columns | {"y": np.arange(N) % 2 if label is None else label}, files)
    wish.check()
    result = find_split(wish, sample, find_labels({"y": ""}, {}, sample))
    TypeAdapter(SplitRule).validate_python(result.table)
    return result


def rows(result):
    """Of train, both halves of validation, and test."""
    train, valid, confirm, test = (counts.rows for counts in result.counts.values())
    assert 0.3 < confirm / (valid + confirm) < 0.7
    return [train, valid + confirm, test]


def test_times_are_cut_where_the_shares_say():
    result = split(Wish(time="t", valid=0.15, test=0.25), t=np.random.default_rng(0).permutation(N))
    assert rows(result) == [600, 150, 250]
    assert result.table["valid"] == {"first": 600, "last": 749}
    assert result.table["train"] == {"last": 599}
    assert result.outside == 0


@pytest.mark.parametrize("zone", ["text", "Europe/Berlin"])
def test_times_with_several_offsets_are_cut_by_instant(zone):
    """Around the end of summer time local times repeat, and elsewhere offsets differ from row to
    row.
    """
    instant = np.datetime64("2024-10-26T12:00:00") + np.arange(N) * np.timedelta64(120, "s")
    times = pa.array(instant.astype("datetime64[us]"), pa.timestamp("us", zone))
    if zone == "text":
        offset = np.arange(N) % 3 - 1
        local = instant + offset * np.timedelta64(3600, "s")
        times = [f"{time}{hours:+03d}:00" for time, hours in zip(local, offset, strict=True)]
    sample, wish = sample_of({"t": times, "y": np.arange(N) % 2}), Wish(time="t")
    of_rows = assigned(split(wish, t=times).table, wish, sample)
    of_rows[of_rows == CONFIRM] = VALID
    assert np.bincount(of_rows).tolist() == [800, 100, 0, 100]
    assert (np.diff(of_rows) >= 0).all()


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([f"{i % 28 + 1}/3/2024" for i in range(N)], "beside '1/3/2024'"),
        (["2024-03-01", "2024-03-01 10:00"] * (N // 2), "one form"),
        (["2024-03-01T10:00:00", "2024-03-01T10:00:00Z"] * (N // 2), "one form"),
        (["2024-03-01Z"] * N, "of one form such as"),
        ([1709251200, 1709251200000] * (N // 2), "one unit, found seconds and milliseconds"),
    ],
)
def test_times_that_cannot_be_cut(times, message):
    with pytest.raises(UserError, match=message):
        split(Wish(time="t"), t=times)


PART = np.where(np.arange(N) < 700, "train", "test")


def test_without_validation_it_is_taken_from_train_by_share():
    result = split(Wish(kind="column", column="part"), part=PART)
    assert result.table["valid_fraction"] == 0.1
    assert rows(result)[2] == 300
    assert 40 < rows(result)[1] < 100
    assert "valid is taken from train: 10% of its rows" in result.why[1]


def test_without_validation_it_is_taken_from_train_by_time_where_test_is_later():
    for times in (
        np.arange(N),
        [f"2024-{n // 100 + 1:02d}-{n % 100 // 4 + 1:02d}" for n in range(N)],
    ):
        result = split(Wish(kind="column", column="part", time="t"), part=PART, t=times)
        assert (
            rows(result) == [630, 70, 300]
            if isinstance(times, np.ndarray)
            else rows(result)[1] >= 70
        )
        assert "test is later than train" in result.why[1]
    mixed = np.random.default_rng(0).permutation(N)
    assert (
        "valid_from"
        not in split(Wish(kind="column", column="part", time="t"), part=PART, t=mixed).table
    )


def test_a_class_that_a_split_lacks_is_a_clear_error():
    sentence = r"by a split by time: task 'y' needs both classes in split 'valid' \(half of validation\), but 0 of"
    with pytest.raises(UserError, match=sentence):
        split(Wish(time="t"), label=(np.arange(N) < 500).astype(int), t=np.arange(N))


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(valid=0.5, test=0.5), "something for train"),
        (Wish(valid=0), "above 0"),
        (Wish(kind="time"), "--time"),
    ],
)
def test_wishes_that_cannot_be(wish, message):
    with pytest.raises(UserError, match=message):
        wish.check()
