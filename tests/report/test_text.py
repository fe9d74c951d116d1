from __future__ import annotations

import math

import pytest

from bench.report import text
from bench.report.view import Spread

THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.94606, "0.9461"),
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (-0.25, "\N{MINUS SIGN}0.2500"),
        (0.00012, "0.00012"),
        (12.5, "12.5"),
        (9_999.0, "9999"),
        (1_234_567.0, f"1.235{THIN}M"),
        (52_300.0, f"52.3{THIN}K"),
        (2.5e9, f"2.5{THIN}G"),
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
        (math.inf, "\N{EN DASH}"),
    ],
)
def test_number(value: float | None, words: str) -> None:
    assert text.number(value) == words


@pytest.mark.parametrize(
    ("gain", "scale", "words"),
    [
        (1.26, 1000, "+1.3"),
        (-1.26, 1000, "\N{MINUS SIGN}1.3"),
        (0.0, 1000, "0.0"),
        (-0.04, 1000, "0.0"),
        (0.0, 1, "0.0000"),
        (606_000.0, 1, f"+606{THIN}K"),
        (-0.0213, 1, "\N{MINUS SIGN}0.0213"),
    ],
)
def test_a_gain_has_its_sign_unless_it_prints_as_zero(gain: float, scale: float, words: str) -> None:
    assert text.signed(gain, scale) == words


def test_chosen_values_are_shown_as_they_were_written() -> None:
    assert [text.plain(value) for value in (0.5, 0.6931, 4e6)] == ["0.5", "0.6931", f"4{THIN}M"]


def test_long_names_are_clipped() -> None:
    assert text.clipped("shared_embeddings") == "shared_embeddings"
    assert text.clipped("x" * 30) == "x" * 21 + "…"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (4.26, "4.3 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (525, "8 min 45 s"),
        (3600, "1 h 0 min"),
        (93_784, "26 h 3 min"),
    ],
)
def test_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert text.duration(seconds).replace(THIN, " ") == words


def test_count_and_list() -> None:
    assert (text.count(1, "trial"), text.count(5000, "trial")) == ("1 trial", "5,000 trials")
    assert text.listed([3, 5]) == "3, 5"
    assert text.listed(range(20), most=3) == "0, 1, 2 and 17 more"


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("income.auc", "income AUC"),
        ("auc.auc", "auc AUC"),
        ("long_view.ctcvr.auc", "long_view CTCVR AUC"),
        ("watch.spearman", "watch spearman"),
        ("cost/parameters", "parameters"),
    ],
)
def test_labels_keep_the_task_and_spell_the_metric(objective: str, words: str) -> None:
    assert text.label(objective) == words


def test_gains_of_unit_metrics_are_read_in_thousandths() -> None:
    assert text.gain_scale("income.auc") == text.gain_scale("a.ctcvr.logloss") == 1000
    assert text.gain_scale("watch.rmse") == text.gain_scale("cost/parameters") == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "true"), (False, "false"), (None, "none"), (0.00088772, "0.0008877"), (4, "4"), ("a", "a")],
)
def test_scalar(value: object, words: str) -> None:
    assert text.scalar(value) == words  # type: ignore[arg-type]


def test_spread_shows_deviation_only_where_there_is_one() -> None:
    assert text.spread(Spread(0.94605, 0.00028, 3)).replace(THIN, " ") == "0.94605 ± 0.00028"
    assert text.spread(Spread(0.94606, None, 1)) == "0.9461"
    assert text.spread(Spread(1234.0, 5.0, 2)).replace(THIN, " ") == "1234 ± 5.0000"
