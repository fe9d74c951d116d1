"""Statistics of days, by simulation with known truth."""

from dataclasses import replace

import numpy as np
import pytest

from bench.deciding.aims import PolicyAim
from bench.deciding.verdict import Verdict
from bench.ledger.effect import Effect
from bench.serve.backtest.cuts import Cut
from bench.serve.backtest.daily_gains import (
    LEAST_DAYS,
    Backtest,
    PointOutcomes,
    days_of,
    mean_day,
    per_day,
    sentences,
)

RUNS = 2000


@pytest.mark.parametrize("count", [LEAST_DAYS, 13])
def test_intervals_of_an_average_day_hold_at_their_level(count):
    rng = np.random.default_rng(count)
    covered = 0
    for _ in range(RUNS):
        spread = rng.uniform(0.5, 2) * rng.standard_t(6, count)
        interval = mean_day(0.02 + 0.01 * spread)
        covered += interval.low <= 0.02 <= interval.high
    assert 0.88 <= covered / RUNS <= 0.92


def test_a_loss_a_day_is_found_at_its_level():
    rng = np.random.default_rng(1)
    intervals = [
        per_day(-0.003 * np.arange(10) + 0.01 * rng.standard_normal(10)) for _ in range(RUNS)
    ]
    assert (
        0.88 <= np.mean([interval.low <= -0.003 <= interval.high for interval in intervals]) <= 0.92
    )
    none = [per_day(0.01 * rng.standard_normal(10)) for _ in range(RUNS)]
    assert 0.03 <= np.mean([interval.high < 0 for interval in none]) <= 0.07


def test_few_days_have_no_interval_and_unknown_ones_do_not_count():
    assert np.isnan(mean_day(np.array([0.1, 0.2, 0.3])).low)
    assert mean_day(np.array([0.1, np.nan, 0.3])).value == pytest.approx(0.2)
    assert np.isnan(mean_day(np.array([np.nan])).value)


def found_of(gains):
    """A back-test with these gains of its only outcome; chosen weights gain .01 more, old models
    lose .02 a day.
    """
    cuts = tuple(Cut(float(day), float(day), 10) for day in range(len(gains)))
    judged = [PointOutcomes(day, "now", "anew", "picked", {"a": 0.5}) for day in range(len(gains))]
    for day, gain in enumerate(gains):
        gains_by_way = {
            ("anew", "picked"): gain,
            ("anew", "chosen"): gain + 0.01,
            ("frozen", "picked"): gain - 0.02 * day,
        }
        judged += [
            PointOutcomes(day, "new", *how, {"a": 0.5 * (1 + way_gain)})
            for how, way_gain in gains_by_way.items()
        ]
    return Backtest(cuts, tuple(judged), "now", "anew", ("a",))


AIM = PolicyAim("the policy", "", (1.0,), (0.0,), (0.0,), True)


def test_the_answer_has_gains_weights_and_ageing():
    gains = np.array([0.02, 0.03, 0.01, 0.04, -0.01, 0.03])
    result = found_of(gains)
    days = days_of(result, AIM, "new")
    np.testing.assert_allclose(days.utility, gains)
    assert days.ahead == 5
    assert days.old_weights.value == pytest.approx(-0.01)
    assert days.frozen.value == pytest.approx(-0.02)
    texts = sentences(days, result, "A", "B", "day")
    assert "on 5 of 6 days" in texts[0]
    assert "lose 1.0%" in texts[1]
    assert "loses 2.0% a day" in texts[2]


def test_days_of_too_few_positives_do_not_count():
    result = found_of(np.array([0.02, 0.03, 0.01, 0.04, 0.02, 0.03]))
    judged = [
        replace(judged_point, outcomes={"a": None}) if judged_point.cut == 2 else judged_point
        for judged_point in result.judged
    ]
    days = days_of(replace(result, judged=tuple(judged)), AIM, "new")
    texts = sentences(days, result, "A", "B", "day")
    assert "on 5 of 5 days" in texts[0]
    assert texts[1].startswith("Not counted: 1 day")


def test_predictions_that_do_not_fit_are_said_at_most_as_often_as_stated():
    rng = np.random.default_rng(5)

    def said(misfit, days=8):
        result = found_of(np.full(days, 0.02))
        fits = {task: misfit * (task == "b") + 0.05 * rng.standard_normal(days) for task in "abc"}
        judged = [
            replace(
                judged_point, fit={task: float(fit[judged_point.cut]) for task, fit in fits.items()}
            )
            if (judged_point.point, judged_point.training) == ("new", "anew")
            else judged_point
            for judged_point in result.judged
        ]
        result = replace(result, judged=tuple(judged))
        texts = sentences(days_of(result, AIM, "new"), result, "A", "B", "day")
        return [text for text in texts if text.startswith("Its predictions")]

    assert np.mean([len(said(0.0)) > 0 for _ in range(600)]) <= 0.07
    (sentence,) = said(-0.3)
    assert "of 'b' are" in sentence
    assert "too low (" in sentence


def test_a_verdict_counts_days():
    verdict = Verdict("model", ("Switch to A.",))
    assert verdict.by_days(
        "A is ahead on 6 of 7 days.", Effect(0.02, -0.01, 0.03)
    ).sentence.endswith("6 of 7 days.")
    behind = verdict.by_days("A is ahead on 1 of 7 days.", Effect(-0.02, -0.03, -0.01))
    assert behind.kind == "unknown"
    assert behind.sentence.startswith("Cannot tell whether to switch")
    assert behind.notes[0].endswith("Switch to A.")
    assert (
        Verdict("keep", ("Keep it.",)).by_days("Behind.", Effect(-0.02, -0.03, -0.01)).kind
        == "keep"
    )
