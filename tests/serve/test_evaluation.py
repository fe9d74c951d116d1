"""Weighted metrics against scikit-learn, intervals against simulations with known truth, and rules
that fail a job.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from data_toys import card_of
from scipy.optimize import brentq
from scipy.stats import norm
from serving_toys import raw_rows

from bench.core.errors import UserError
from bench.core.objectives import parse
from bench.core.schema import SCORE, Schema, Task
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.deciding.retraining import Length, Retraining
from bench.ledger.confidence_sequence import ALPHA, boundary, mean_so_far
from bench.ledger.effect import Effect
from bench.measure.resamples import units_of
from bench.serve.fail_if import Rule
from bench.serve.judgements import Judged, Judgement, judge, judgements, served
from bench.serve.package import Contents, write_package
from bench.serve.retrain import PartOrder, RetrainSpec, retrain
from bench.serve.watch import Watch

FUNNEL = Schema(
    (),
    (),
    (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click")),
)
ONE = Schema((), (), (Task("click"),))


def judged(rng, rows, *noise, groups=None):
    """Clicks with known probabilities, as models see them through so much noise."""
    logit = rng.normal(size=rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    predicted: tuple[Mapping[str, np.ndarray], ...] = tuple(
        {"click": 1 / (1 + np.exp(-(logit + rng.normal(size=rows) * each)))} for each in noise
    )
    group = np.full(rows, -1) if groups is None else rng.integers(0, groups, rows)
    return Judged(labels[:, None], predicted, group)


def verdicts(found):
    return {each.metric: each.verdict for each in found}


def test_the_better_model_is_told_from_the_worse_one(rng):
    good_against_bad = judgements(judged(rng, 4000, 0.2, 1.5), ONE, resamples=100)
    assert verdicts(good_against_bad) == {
        "click.auc": "better",
        "click.logloss": "better",
        "click.pcoc": "",
    }
    bad_against_good = judgements(judged(rng, 4000, 1.5, 0.2), ONE, resamples=100)
    assert verdicts(bad_against_good)["click.auc"] == "worse"
    equals = judged(rng, 4000, 0.2)
    same = judgements(
        Judged(equals.labels, equals.predictions * 2, equals.group), ONE, resamples=50
    )
    assert verdicts(same)["click.auc"] == "cannot tell"
    assert same[0].difference.value == 0


def test_intervals_cover_as_often_as_they_say():
    """The truth by 200,000 rows; 90% intervals from 400 rows each, of 60 samples."""
    truth = judgements(judged(np.random.default_rng(1), 200_000, 0.5), ONE, resamples=20)[
        0
    ].estimate.value
    covered = 0
    for seed in range(60):
        found = judgements(judged(np.random.default_rng(100 + seed), 400, 0.5), ONE, 100, 0.9)[
            0
        ].estimate
        covered += found.low <= truth <= found.high
    assert 46 <= covered <= 60  # 54 are expected; below 46 with probability 0.001


def test_groups_are_drawn_as_a_whole(rng):
    """Each row 25 times, as one group, is no more evidence than once."""
    once = judged(rng, 200, 0.5)
    once = Judged(once.labels, once.predictions, np.arange(200))
    many = Judged(
        np.repeat(once.labels, 25, axis=0),
        tuple(
            {name: np.repeat(values, 25) for name, values in each.items()}
            for each in once.predictions
        ),
        np.repeat(once.group, 25),
    )
    alone, together = (judgements(each, ONE, resamples=100)[0].estimate for each in (once, many))
    assert together.low == pytest.approx(alone.low)
    assert together.high == pytest.approx(alone.high)
    apart = replace(many, group=np.arange(len(many.group)), units=units_of(many.group, 0))
    assert judgements(apart, ONE, resamples=100)[0].estimate == together
    outcome = ["click.recall@10%"]
    ranked = [
        replace(each, predictions=({SCORE: each.predictions[0]["click"]},))
        for each in (many, apart)
    ]
    assert served(ranked[0], ONE, outcome, 50) == served(ranked[1], ONE, outcome, 50)
    with pytest.raises(UserError, match="expected two groups of rows or more"):
        judgements(Judged(once.labels, once.predictions, np.zeros(200, int)), ONE)


def test_each_prediction_on_its_own_rows():
    labels = np.array([[1, 1, 5], [1, 0, 3], [0, np.nan, np.nan], [0, 0, 9]], np.float32)
    predicted = {"click": np.array([0.9, 0.6, 0.4, 0.7]), "watch.cvr": np.array([4.0, 4, 0, 0])}
    predicted["watch.ctcvr"] = np.array([4.0, 2, 2, 4])
    predicted |= {
        "buy.cvr": np.array([0.6, 0.4, 1, 1]),
        "buy.ctcvr": np.array([0.5, 0.6, 0.1, 0.1]),
    }
    found = {
        each.metric: each.estimate.value
        for each in judgements(Judged(labels, (predicted,), np.full(4, -1)), FUNNEL, 20)
    }
    assert found["click.auc"] == 0.75
    assert found["buy.cvr.auc"] == 1.0
    assert found["buy.ctcvr.auc"] == pytest.approx(2 / 3)
    assert found["watch.cvr.rmse"] == 1.0
    assert found["watch.ctcvr.rmse"] == pytest.approx(np.sqrt((1 + 1 + 4 + 16) / 4))


def test_the_served_ranking_is_judged_on_all_impressions(rng):
    """The score ranks; labels are joint ones, so that a purchase without a seen click is none."""
    rows = 2000
    truth = rng.normal(size=rows)
    click = (rng.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    buy = np.where(click == 1, rng.random(rows) < 0.3, np.nan).astype(np.float32)
    labels = np.stack([click, buy, np.full(rows, np.nan, np.float32)], 1)
    predicted = tuple({"score": truth + noise * rng.normal(size=rows)} for noise in (0.3, 2.0))
    judged = Judged(labels, predicted, np.full(rows, -1))
    outcomes = ("click.recall@10%", "buy.recall@10%")
    good, other = served(judged, FUNNEL, outcomes, resamples=100)
    first = np.argsort(-predicted[0]["score"])[: rows // 10]
    assert good.estimate.value == pytest.approx(click[first].sum() / click.sum())
    assert other.estimate.value == pytest.approx(np.nansum(buy[first]) / np.nansum(buy))
    assert good.gain.value == pytest.approx(good.estimate.value / good.other.value - 1)
    assert good.verdict == "better"
    with pytest.raises(UserError, match="expected one of click, buy, watch, found 'like'"):
        served(judged, FUNNEL, ("like.recall@10%",), resamples=20)


def test_the_interval_of_a_gain_is_that_of_a_paired_bootstrap(rng):
    """Another bootstrap, by loops: whole users drawn with replacement, both rankings on the same
    users.
    """
    users, each, draws = 150, 4, 600
    truth, seen = rng.normal(size=(2, users, each)) + rng.normal(size=(2, users, 1))
    click = (rng.random((users, each)) < 1 / (1 + np.exp(-truth))).astype(float)
    scores = [truth + seen, truth + seen + 0.3 * rng.normal(size=truth.shape)]
    group = np.repeat(np.arange(users), each)
    judged = Judged(
        click.reshape(-1, 1).astype(np.float32),
        tuple({SCORE: own.ravel()} for own in scores),
        group,
    )
    gain = served(judged, ONE, ["click.recall@10%"], draws)[0].gain

    def recall(score, drawn):
        order = np.argsort(-score[drawn].ravel(), kind="stable")
        return float(click[drawn].ravel()[order[: users * each // 10]].sum() / click[drawn].sum())

    # (draws, 2)
    both = np.array(
        [[recall(own, drawn) for own in scores] for drawn in rng.integers(0, users, (draws, users))]
    )
    model, other = (recall(own, np.arange(users)) for own in scores)
    low, high = np.quantile((both[:, 0] - both[:, 1]) / other, [0.05, 0.95])
    assert gain.value == pytest.approx(model / other - 1)
    assert gain.low == pytest.approx(low, abs=(high - low) / 8)
    assert gain.high == pytest.approx(high, abs=(high - low) / 8)
    apart = np.quantile((both[:, 0] - rng.permutation(both[:, 1])) / other, [0.05, 0.95])
    # so a bootstrap that is not paired would fail
    assert np.ptp(apart) > 1.5 * (gain.high - gain.low)


def test_a_rule_is_read():
    assert Rule.parse(" buy.recall@10% < -1% ") == Rule(
        "buy.recall@10% < -1%", "buy.recall@10%", True, -0.01, True
    )
    assert Rule.parse("click.logloss>.4") == Rule(
        "click.logloss>.4", "click.logloss", False, 0.4, False
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "buy.recall@10%",
        "buy < ",
        "buy <= 1%",
        "buy < one",
        "buy < 1% < 2%",
        "buy < nan",
        "buy < -1",
        "< 1",
    ],
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(
        UserError, match=r"^--fail-if: expected a gain as in 'buy.recall@10% < -1%' or a value"
    ):
        Rule.parse(text)


def test_the_estimate_decides_and_the_sentence_says_how_sure():
    def said(rule, *gain, other=0.5):
        effects = (
            Effect(other + gain[0] / 2, 0.2, 0.7),
            Effect(other),
            Effect(*(each / 2 for each in gain)),
        )
        found = Rule.parse(rule).result([Judgement("buy.ndcg@5", "larger", *effects)])
        assert found.sentence.startswith(f"{'failed' if found.failed else 'kept'}: {rule}: ")
        assert found.sure == ("surely" in found.sentence and "not surely" not in found.sentence)
        assert found.sentence.endswith("; asked once")
        return found.sentence.replace(f": {rule}: the gain is", "").removesuffix("; asked once")

    below, above = "buy.ndcg@5 < -1%", "buy.ndcg@5 > 2.5%"
    assert said(below, -0.03, -0.05, -0.011) == "failed -3.00% (-5.00 to -1.10), surely below"
    assert (
        said(below, -0.03, -0.05, 0.01) == "failed -3.00% (-5.00 to +1.00), below, but not surely"
    )
    assert (
        said(below, -0.005, -0.02, 0.01)
        == "kept -0.50% (-2.00 to +1.00), not below, but not surely"
    )
    assert said(below, 0.01, 0.0, 0.02) == "kept +1.00% (+0.00 to +2.00), surely not below"
    assert said(above, 0.03, 0.026, 0.04) == "failed +3.00% (+2.60 to +4.00), surely above"
    assert said(above, 0.01, 0.0, 0.02) == "kept +1.00% (+0.00 to +2.00), surely not above"
    value = "buy.ndcg@5 < 0.6"
    assert (
        said(value, 0.0) == f"failed: {value}: the value is 0.5 (0.2 to 0.7), below, but not surely"
    )


def test_a_boundary_is_never_crossed_too_often():
    """It lies beyond that of the mixture itself, which is exact for normal errors, and not far."""
    for variance in (0.1, 1.0, 20.0, 500.0):
        for prior in (0.05, 1.0):

            def wealth(total, variance=variance, prior=prior):
                spread = 1 + prior * variance
                scaled = total * np.sqrt(prior / spread)
                return 2 * norm.cdf(scaled) * np.exp(scaled**2 / 2) / np.sqrt(spread)

            exact = brentq(lambda total, wealth=wealth: wealth(total) - 1 / ALPHA, 0, 1e3)
            assert exact <= boundary(variance, prior) <= 1.02 * exact


def test_the_interval_of_many_nights_holds_at_all_times(rng):
    """300 nights without a change, 400 times: at most 5% have it beyond one side at any time."""
    errors = rng.uniform(0.005, 0.02, 300)
    alarms = 0
    for values in rng.normal(scale=errors, size=(400, 300)):
        means = [mean_so_far(values[:night], errors[:night]) for night in range(1, 301, 7)]
        alarms += any(mean.high < 0 for mean in means)
    assert alarms <= 400 * ALPHA


def test_a_model_beside_itself_is_equal_every_night(tmp_path):
    equal = Judgement("buy.ndcg@5", "larger", Effect(0.5), Effect(0.5), Effect(0.0, 0.0, 0.0))
    watch = Watch.read(tmp_path / "nights.jsonl", "a")
    for rule, failed in (("buy.ndcg@5 < 0%", False), ("buy.ndcg@5 < 1%", True)):
        found = Rule.parse(rule).result([equal], watch)
        assert found.failed == failed
        assert "+0.00% (+0.00 to +0.00) on average over 1 night" in found.sentence
    assert mean_so_far([0.0, 0.0, 0.01], [0.0, 0.0, 0.01]).low < 0


def test_a_rule_is_asked_over_all_nights_and_the_same_night_counts_once(tmp_path):
    file = tmp_path / "nights.jsonl"

    def night(rows, gain, error=0.01, rule="buy.ndcg@5 < 0%"):
        half = 1.6448536 * error / 2
        effects = Effect(0.5), Effect(0.5), Effect(gain / 2, gain / 2 - half, gain / 2 + half)
        watch = Watch.read(file, rows)
        found = Rule.parse(rule).result([Judgement("buy.ndcg@5", "larger", *effects)], watch)
        watch.write()
        return found

    first = night("a", -0.03)  # by itself surely below, and asked once it would fail
    assert (first.failed, first.nights) == (False, 1)
    assert "-3.00% (-8.14 to +2.14) on average over 1 night, -3.00% tonight" in first.sentence
    assert night("a", -0.02).nights == 1
    found = [night(f"night {number}", -0.02) for number in range(20)]
    assert [each.nights for each in found] == [*range(2, 22)]
    assert not found[0].failed
    assert found[-1].failed
    assert found[-1].measured.value == pytest.approx(-0.02)
    assert night("another", -0.02, rule="buy.ndcg@5 < -5%").nights == 22  # the same gain
    unsure = night("one user", -0.5, error=np.nan)
    assert (unsure.failed, unsure.nights) == (False, 0)
    assert unsure.sentence.endswith("too few rows say how sure that is; this night does not count")
    assert night("nobody", np.nan).failed
    assert night("after", -0.02).nights == 23
    file.write_text("{}\n")
    with pytest.raises(UserError, match=r"^--watch: .*nights.jsonl, line 1: expected what an ear"):
        night("b", 0.0)


THINNED = "synthetic-funnel@rows=20000"
CONFIG = {
    "sharing.kind": "shared_bottom",
    "embedding.dim": 4,
    "tower.layers": "8",
    "optim.lr": 0.005,
}


def funnel_card(**keys):
    columns = {
        name: column.model_dump(by_alias=True)
        for name, column in load_card(THINNED).columns.items()
    }
    tasks = [
        {"name": "click", "column": "click"},
        {"name": "purchase", "column": "purchase", "parent": "click"},
    ]
    split = {"kind": "hash", "column": "row", "valid": 0.4, "test": 0.3}
    files = {"reader": {"kind": "csv"}, "files": [{"name": "log.csv"}]}
    return card_of(**files, tasks=tasks, columns=columns, split=split, **keys)


@pytest.mark.parametrize("rate", [0.25, "kept"])
def test_a_package_predicts_for_all_rows(tmp_path, rate):
    """Of a log without three of four negatives, from its card to a package."""
    table, rng = raw_rows(THINNED), np.random.default_rng(0)
    click, whole, thinned = table["click"].to_numpy(), tmp_path / "whole", tmp_path / "thinned"
    kept = np.where(
        click == 1,
        1,
        0.25 if rate == 0.25 else np.where(table["scenario"].to_numpy() == 0, 0.2, 0.5),
    )
    table = table.append_column("kept", pa.array(kept)).append_column(
        "row", pa.array(np.arange(len(table)))
    )
    for folder, rows in (
        (whole, np.ones(len(table), bool)),
        (thinned, rng.random(len(table)) < kept),
    ):
        folder.mkdir()
        csv.write_csv(table.filter(pa.array(rows)), folder / "log.csv")
    thin = funnel_card(sampling={"task": "click", "rate": rate})
    store = prepare(thin, tmp_path / "home", thinned)
    part, chosen = PartOrder(CONFIG, Length(), (1.0, 1.0)), Retraining(seeds=1, held_out=0.3)
    aims = (parse("click.logloss", store.schema.tasks, "here"),)
    made = retrain(RetrainSpec(thin, store, (part,), aims, chosen), tmp_path / "work", {})
    rows = (np.array(store.split("valid").ids[:9]), np.array(store.split("valid").dense[:9]))
    members = made.members
    parts = Contents(
        store.key,
        store.schema,
        made.parts,
        [each.parts for each in members],
        store.encoder,
        rows,
        calibrations=made.calibrations,
    )
    scorer = write_package(parts, tmp_path / "package", onnx=False).scorer()
    judged = [
        judge(own, tmp_path / "home", folder, "test", [scorer], Silent())
        for own, folder in ((funnel_card(), whole), (thin, thinned))
    ]
    found, told = (
        {each.metric: each.estimate for each in judgements(each, store.schema, 50, 0.99)}
        for each in judged
    )
    for name in ("click", "purchase.cvr", "purchase.ctcvr"):
        assert made.calibrated[f"test/{name}.pcoc"] == pytest.approx(
            told[f"{name}.pcoc"].value, rel=1e-4
        )
        assert found[f"{name}.pcoc"].value == pytest.approx(1, abs=0.2), name
        for metric in ("pcoc", "logloss"):  # thinned rows tell what all rows do
            own = told[f"{name}.{metric}"]
            assert own.low < found[f"{name}.{metric}"].value < own.high, (name, metric)
