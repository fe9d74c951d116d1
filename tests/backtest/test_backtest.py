"""Back-tests as a whole: resumed as if never interrupted, prospective, and right where the truth is known."""

from functools import partial

import numpy as np
import pytest
from day_toys import CARD, Log, log, made

from bench.backtest import backtest
from bench.backtest.backtest import FROZEN, PICKED, in_processes, run
from bench.backtest.cuts import card_of
from bench.backtest.days import days_of
from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.times import hours_of
from bench.search.executors.base import Options
from bench.system.progress import Silent


class Stopped(Exception):
    """An interrupt."""


def values(found):
    return {(each.cut, each.point, each.training, each.weights): each.outcomes for each in found.judged}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["anew", "warm"])
def test_a_chain_that_was_interrupted_is_the_same_to_the_last_bit(days, tmp_path, monkeypatch, how):
    plan = days.plan(how, cuts=3)
    whole = run(plan, tmp_path / "whole", days.home, days.raw, Silent())
    write = backtest.write_text

    def stopping(path, text):
        if path.name == "1.json":
            raise Stopped
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(backtest, "write_text", stopping)
        with pytest.raises(Stopped):
            run(plan, tmp_path / "parts", days.home, days.raw, Silent())
    again = run(plan, tmp_path / "parts", days.home, days.raw, Silent())
    assert values(again) == values(whole)
    assert {key[0] for key in values(whole)} == {0, 1, 2}


@pytest.mark.slow
def test_cuts_side_by_side_are_those_of_one_after_the_other(days, tmp_path):
    plan = days.plan(cuts=3)
    alone = run(plan, tmp_path / "alone", days.home, days.raw, Silent())
    together = run(plan, tmp_path / "together", days.home, days.raw, Silent(), partial(in_processes, 2))
    assert together.judged == alone.judged
    pytest.importorskip("ray", reason="Ray, an extra of this package, is not installed")
    from bench.search.executors.ray import spread

    cluster = partial(spread, Options(executor="ray", threads=1))
    on_ray = run(plan, tmp_path / "ray", days.home, days.raw, Silent(), cluster)
    assert on_ray.judged == alone.judged
    with pytest.raises(UserError, match="expected a span of time"):
        list(cluster(hours_of, ["seven days"]))


@pytest.mark.slow
def test_how_far_predictions_are_above_labels_is_known_at_each_cut(days, tmp_path):
    plan = days.plan(cuts=3, tried=("first", "second"))
    found = run(plan, tmp_path, days.home, days.raw, Silent())
    store = prepare(card_of(plan.times, plan.cuts[2]), days.home, days.raw)
    chains, members = plan.trained
    chain = chains[members["first"].chains[0]]
    joint = chain.joint(store, chain.anew(store, Silent()), "test")
    labels = np.asarray(store.split("test").labels)
    for at, task in enumerate(("click", "buy")):
        misfit = joint[:, at].mean() / labels[:, at].mean() - 1
        assert found.fits("first", "anew")[task][2] == pytest.approx(misfit, abs=1e-5)


@pytest.mark.slow
def test_a_cut_with_few_positives_that_were_shown_at_random_does_not_count(tmp_path):
    rows = log()
    rows["r"] = (np.arange(len(rows)) % 40 == 0).astype(int)
    rows.to_csv(tmp_path / "log.csv", index=False)
    own = Log(parse_card(CARD | {"random": "r"}, "here"), tmp_path, tmp_path / "home")
    plan = own.plan(cuts=2)
    found = run(plan, tmp_path, own.home, own.raw, Silent())
    assert {of for each in found.judged for of in each.outcomes.values()} == {None}
    assert min(rows["click"].sum(), rows["buy"].sum()) > 1000  # as logged they are many


@pytest.mark.slow
def test_rows_shown_at_random_judge_where_the_card_names_them(tmp_path):
    rows = log()
    rows["r"] = np.random.default_rng(2).integers(0, 2, len(rows))
    rows.to_csv(tmp_path / "log.csv", index=False)
    own = Log(parse_card(CARD | {"random": "r"}, "here"), tmp_path, tmp_path / "home")
    plan = own.plan(cuts=2)
    found = run(plan, tmp_path, own.home, own.raw, Silent())
    store = prepare(card_of(plan.times, plan.cuts[1]), own.home, own.raw)
    chains, members = plan.trained
    chain, test = chains[members["first"].chains[0]], store.split("test")
    score = np.log(chain.joint(store, chain.anew(store, Silent()), "test")).sum(1)
    shown = np.asarray(test.logged)[:, 0] == 1
    labels, score = np.asarray(test.labels)[shown], score[shown]
    top = np.argsort(-score, kind="stable")[: round(len(score) / 10)]
    recall = labels[top, 0].sum() / labels[:, 0].sum()
    assert values(found)[1, "first", "anew", PICKED]["click.recall@10%"] == pytest.approx(recall, abs=0.02)


@pytest.mark.slow
def test_a_cut_is_what_the_model_says_that_knows_nothing_later(days, tmp_path):
    """By a twin that prepares and trains by hand."""
    plan = days.plan(cuts=5)
    found = run(plan, tmp_path, days.home, days.raw, Silent())
    store = prepare(card_of(plan.times, plan.cuts[1]), days.home, days.raw)
    chains, members = plan.trained
    chain = chains[members["first"].chains[0]]
    joint = chain.joint(store, chain.anew(store, Silent()), "test")
    score, labels = np.log(joint).sum(1), np.asarray(store.split("test").labels)
    top = np.argsort(-score, kind="stable")[: len(score) // 10]
    recall = labels[top, 0].sum() / labels[:, 0].sum()
    own = values(found)[1, "first", "anew", PICKED]["click.recall@10%"]
    assert own == pytest.approx(recall, abs=0.02)  # ties


def test_a_score_of_trees_is_trained_anew_in_a_warm_chain(days, tmp_path):
    trees = {"trees": {"trees.click.leaves": 7, "trees.buy.leaves": 7}}
    plan = days.plan("warm", cuts=2, tried=("trees", "second"), chosen=trees)
    found = run(plan, tmp_path, days.home, days.raw, Silent())
    assert {key[1] for key in values(found)} == {"trees", "second"}


@pytest.mark.slow
def test_a_model_that_is_not_trained_again_loses_where_tastes_move(tmp_path):
    log = made(tmp_path, days=16, rows=3000, drift=0.25)
    plan = log.plan(cuts=9)
    found = run(plan, tmp_path / "kept", log.home, log.raw, Silent())
    days = days_of(found, plan.aim, "first")
    assert days.frozen.high < 0
    fresh, frozen = (found.values("first", how, PICKED)[-1, 0] for how in ("anew", FROZEN))
    assert fresh > frozen
