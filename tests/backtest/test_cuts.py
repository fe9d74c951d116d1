"""Cuts: every row of test is in one, and nothing of a cut or after it is trained on before."""

import numpy as np
import pandas as pd
import pytest

from bench.backtest.cuts import card_of
from bench.core.errors import UserError
from bench.data.preparation import rows_of
from bench.data.splits import SPLITS
from bench.system.progress import Silent


def dates_by_split(log, card):
    """The dates of each split's rows."""
    found = {name: set() for name in SPLITS}
    for rows in rows_of(card, log.home, log.raw, Silent()):
        for name, date in zip(rows.split, rows.table["date"].to_pylist(), strict=True):
            if name >= 0:
                found[SPLITS[name]].add(str(date))
    return found


def test_cuts_by_number_and_by_span_have_all_rows_of_test_once(days):
    times = days.times()
    for cuts in (times.cuts(3, None), times.cuts(None, "1d"), times.cuts(None, "2d")):
        assert sum(cut.rows for cut in cuts) == 1500
        assert [int((times.cut_of(cuts) == at).sum()) for at in range(len(cuts))] == [cut.rows for cut in cuts]
    assert [str(cut) for cut in times.cuts(None, "2d")] == [
        "2024-03-08 to 2024-03-09", "2024-03-10 to 2024-03-11", "2024-03-12"
    ]  # fmt: skip


def test_nothing_of_a_cut_or_after_it_is_trained_on(days):
    times = days.times()
    for cut in times.cuts(5, None):
        found = dates_by_split(days, card_of(times, cut))
        assert found["test"] == {cut.first}
        before = {str(date.date()) for date in pd.date_range("2024-03-01", cut.first, inclusive="left")}
        assert found["train"] == before
        assert max(found["valid"] | found["confirm"]) < cut.first


def test_a_window_leaves_out_what_is_older(days):
    times = days.times()
    cut = times.cuts(5, None)[2]
    found = dates_by_split(days, card_of(times, cut, since=times.before(cut, "3d")))
    assert found["train"] == {"2024-03-07", "2024-03-08", "2024-03-09"}


def test_to_go_on_what_is_new_stands_apart(days):
    times = days.times()
    cuts = times.cuts(5, None)
    found = dates_by_split(days, card_of(times, cuts[2], known_before=cuts[1].first))
    assert found["valid"] == {cuts[1].first}
    assert max(found["train"]) < cuts[1].first
    assert found["confirm"] <= found["train"] | found["valid"]


@pytest.mark.parametrize(
    ("numbers", "every", "expected"),
    [
        ([20240308, 20240309, 20240401], "1d", [1, 1, 1]),
        ([1709856000, 1709859600, 1709942400], "1d", [2, 1]),
        ([20240308, 20240331, 20240401], "month", [2, 1]),
    ],
)
def test_times_may_be_numbers(days, numbers, every, expected):
    times = days.times()
    known = type(times)(times.card, [float(each) for each in numbers], np.array([1, 1, 1]), np.arange(3))
    assert [cut.rows for cut in known.cuts(None, every)] == expected


def test_mistakes_say_what_is_expected(days):
    with pytest.raises(UserError, match="at most 5, the times that test has, found 9"):
        days.times().cuts(9, None)
    with pytest.raises(UserError, match="such as 1d, 2w or 12h, found 'daily'"):
        days.times().cuts(None, "daily")
    with pytest.raises(UserError, match="the time of its split, 'date', found --time user"):
        days.times("user")
