"""Back-tests: cuts know nothing later, a run is resumed as if never interrupted, and right where
the truth is known.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from day_toys import CARD, Log, log, made

from bench.core.errors import UserError
from bench.core.system.progress import Silent
from bench.data import parse_card, prepare
from bench.data.preparation import rows_of
from bench.data.splits import SPLITS
from bench.data.values import hours_of
from bench.search.executors.base import Options
from bench.serve.backtest import cut_by_cut
from bench.serve.backtest.cut_by_cut import in_processes, run
from bench.serve.backtest.cuts import card_of
from bench.serve.backtest.daily_gains import FROZEN, PICKED, days_of


def dates_by_split(log, card):
    """The dates of each split's rows."""
    dates = {name: set() for name in SPLITS}
    for rows in rows_of(card, log.home, log.raw, Silent()):
        for name, date in zip(rows.split, rows.table["date"].to_pylist(), strict=True):
            if name >= 0:
                dates[SPLITS[name]].add(str(date))
    return dates


def test_cuts_by_number_and_by_span_have_all_rows_of_test_once(days):
    times = days.times()
    for cuts in (times.cuts(3, None), times.cuts(None, "1d"), times.cuts(None, "2d")):
        assert sum(cut.rows for cut in cuts) == 1500
        assert [int((times.cut_of(cuts) == number).sum()) for number in range(len(cuts))] == [
            cut.rows for cut in cuts
        ]
    assert [str(cut) for cut in times.cuts(None, "2d")] == [
        "2024-03-08 to 2024-03-09",
        "2024-03-10 to 2024-03-11",
        "2024-03-12",
    ]


def test_nothing_of_a_cut_or_after_it_is_trained_on(days):
    times = days.times()
    for cut in times.cuts(5, None):
        dates = dates_by_split(days, card_of(times, cut))
        assert dates["test"] == {cut.first}
        before = {
            str(date.date()) for date in pd.date_range("2024-03-01", cut.first, inclusive="left")
        }
        assert dates["train"] == before
        assert max(dates["valid"] | dates["confirm"]) < cut.first


def test_a_window_leaves_out_what_is_older(days):
    times = days.times()
    cut = times.cuts(5, None)[2]
    dates = dates_by_split(days, card_of(times, cut, since=times.before(cut, "3d")))
    assert dates["train"] == {"2024-03-07", "2024-03-08", "2024-03-09"}


def test_to_go_on_what_is_new_stands_apart(days):
    times = days.times()
    cuts = times.cuts(5, None)
    dates = dates_by_split(days, card_of(times, cuts[2], known_before=cuts[1].first))
    assert dates["valid"] == {cuts[1].first}
    assert max(dates["train"]) < cuts[1].first
    assert dates["confirm"] <= dates["train"] | dates["valid"]


@pytest.mark.parametrize(
    ("numbers", "span", "expected"),
    [
        ([20240308, 20240309, 20240401], "1d", [1, 1, 1]),
        ([1709856000, 1709859600, 1709942400], "1d", [2, 1]),
        ([20240308, 20240331, 20240401], "month", [2, 1]),
    ],
)
def test_times_may_be_numbers(days, numbers, span, expected):
    times = days.times()
    by_number = type(times)(
        times.card, [float(number) for number in numbers], np.array([1, 1, 1]), np.arange(3)
    )
    assert [cut.rows for cut in by_number.cuts(None, span)] == expected


def test_mistakes_say_what_is_expected(days):
    with pytest.raises(UserError, match="at most 5, the times that test has, found 9"):
        days.times().cuts(9, None)
    with pytest.raises(UserError, match="such as 1d, 2w or 12h, found 'daily'"):
        days.times().cuts(None, "daily")
    with pytest.raises(UserError, match="the time of its split, 'date', found --time user"):
        days.times("user")


class Stopped(Exception):
    """An interrupt."""


def by_hand(plan, log):
    """The store of the second cut, and what the first model says of it."""
    store = prepare(card_of(plan.times, plan.cuts[1]), log.home, log.raw)
    chains, members = plan.trained
    chain = chains[members["first"].chains[0]]
    return store, chain.joint(store, chain.from_scratch(store, Silent()), "test")


def recall(joint, labels):
    """Of clicks in the first tenth, ranked by the product of predictions."""
    top = np.argsort(-np.log(joint).sum(1), kind="stable")[: round(len(joint) / 10)]
    return labels[top, 0].sum() / labels[:, 0].sum()


def values(backtest):
    return {
        (judged.cut, judged.point, judged.training, judged.weights): judged.outcomes
        for judged in backtest.judged
    }


@pytest.mark.slow
@pytest.mark.parametrize("how", ["anew", "warm"])
def test_a_chain_that_was_interrupted_is_the_same_to_the_last_bit(days, tmp_path, monkeypatch, how):
    plan = days.plan(how, cuts=3)
    whole = run(plan, tmp_path / "whole", days.home, days.raw, Silent())
    write = cut_by_cut.write_text

    def stopping(path, text):
        if path.name == "1.json":
            raise Stopped
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(cut_by_cut, "write_text", stopping)
        with pytest.raises(Stopped):
            run(plan, tmp_path / "parts", days.home, days.raw, Silent())
    again = run(plan, tmp_path / "parts", days.home, days.raw, Silent())
    assert values(again) == values(whole)
    assert {key[0] for key in values(whole)} == {0, 1, 2}


@pytest.mark.slow
def test_cuts_side_by_side_are_those_of_one_after_the_other(days, tmp_path):
    plan = days.plan(cuts=3)
    alone = run(plan, tmp_path / "alone", days.home, days.raw, Silent())
    together = run(
        plan, tmp_path / "together", days.home, days.raw, Silent(), partial(in_processes, 2)
    )
    assert together.judged == alone.judged
    pytest.importorskip("ray", reason="Ray, an extra of this package, is not installed")
    from bench.search.executors.ray import spread

    cluster = partial(spread, Options(executor="ray", threads=1))
    on_ray = run(plan, tmp_path / "ray", days.home, days.raw, Silent(), cluster)
    assert on_ray.judged == alone.judged
    with pytest.raises(UserError, match="expected a span of time"):
        list(cluster(hours_of, ["seven days"]))


@pytest.mark.slow
def test_a_cut_is_what_the_model_says_that_knows_nothing_later(days, tmp_path):
    """By a twin that prepares and trains by hand."""
    plan = days.plan(cuts=5)
    result = run(plan, tmp_path, days.home, days.raw, Silent())
    store, joint = by_hand(plan, days)
    labels = np.asarray(store.split("test").labels)
    value = values(result)[1, "first", "anew", PICKED]["click.recall@10%"]
    assert value == pytest.approx(recall(joint, labels), abs=0.02)  # ties
    misfits = joint.mean(axis=0) / labels.mean(axis=0) - 1
    assert [fit[1] for fit in result.fits("first", "anew").values()] == pytest.approx(
        misfits, abs=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_rows_shown_at_random_judge_where_the_card_names_them(tmp_path, share):
    """Too few of them do not count."""
    rows = log()
    rows["r"] = (np.random.default_rng(2).random(len(rows)) < share).astype(int)
    rows.to_csv(tmp_path / "log.csv", index=False)
    random_log = Log(parse_card(CARD | {"random": "r"}, "here"), tmp_path, tmp_path / "home")
    plan = random_log.plan(cuts=2)
    result = run(plan, tmp_path, random_log.home, random_log.raw, Silent())
    if share < 0.1:
        assert {outcome for judged in result.judged for outcome in judged.outcomes.values()} == {
            None
        }
        return
    store, joint = by_hand(plan, random_log)
    test = store.split("test")
    inside = np.asarray(test.logged)[:, 0] == 1
    value = values(result)[1, "first", "anew", PICKED]["click.recall@10%"]
    assert value == pytest.approx(recall(joint[inside], np.asarray(test.labels)[inside]), abs=0.02)


def test_a_score_of_trees_is_trained_anew_in_a_warm_chain(days, tmp_path):
    trees = {"trees": {"trees.click.leaves": 7, "trees.buy.leaves": 7}}
    plan = days.plan("warm", cuts=2, tried=("trees", "second"), chosen=trees)
    result = run(plan, tmp_path, days.home, days.raw, Silent())
    assert {key[1] for key in values(result)} == {"trees", "second"}


@pytest.mark.slow
def test_a_model_that_is_not_trained_again_loses_where_tastes_move(tmp_path):
    log = made(tmp_path, days=16, rows=3000, drift=0.25)
    plan = log.plan(cuts=9)
    result = run(plan, tmp_path / "kept", log.home, log.raw, Silent())
    days = days_of(result, plan.aim, "first")
    assert days.frozen.high < 0
    fresh, frozen = (result.values("first", how, PICKED)[-1, 0] for how in ("anew", FROZEN))
    assert fresh > frozen
