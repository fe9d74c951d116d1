"""On simulated runs answers are seldom wrong and means are unbiased; the studies do the same at length."""

import pytest
from answers import SETTINGS, TUNED, tally_of, tuned_of
from small_data import Case, coverage
from unseen_rows import ROW_ERRORS, found_of, table


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_false_answers_are_rare(setting):
    tally = tally_of(setting, 25)
    assert max(tally.yes[0], tally.no[2]) <= 0.16  # 25 runs at 5%: four in a thousand have more


@pytest.mark.slow
@pytest.mark.parametrize("setting", TUNED[4:12:2], ids=lambda setting: setting.name)
def test_luck_in_tuning_seldom_makes_a_false_answer(setting):
    equal, ahead = tuned_of(setting, 25)
    assert max(equal[1], ahead[3]) <= 0.16


@pytest.mark.slow
def test_ten_replicates_find_a_front_two_margins_beyond():
    [setting] = [each for each in SETTINGS if each.name == "10 replicates"]
    tally = tally_of(setting, 20)
    assert tally.yes[2] > 0.9
    assert tally.no[0] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["ndcg@5", "recall@10%"])
def test_the_verdicts_intervals_hold_with_ten_groups(metric):
    _, _, held, wrong = coverage(Case(metric, 10, "10 rows each", 0.1), 100)
    assert held >= 0.75  # with so few groups 83 to 90%
    assert wrong <= 0.11  # 5%, as 99 of 100 such tests see it


@pytest.mark.slow
def test_intervals_of_rows_of_a_few_users_need_units():
    """Of twelve users with fifty rows each: of values, and of gains of the pick for all outcomes at once."""
    (value, _, pick, _), (without, _, narrow, _) = (
        coverage(Case("recall@10%", 12, "50 rows each", 0.1, units), 60) for units in (True, False)
    )
    assert value > without + 0.2
    assert pick > max(narrow, 0.8)


@pytest.mark.slow
@pytest.mark.parametrize("error", ROW_ERRORS)
def test_means_are_unbiased_and_the_hypervolume_is_covered_on_unseen_rows(error):
    found = found_of(error, True, 100)
    assert abs(found.bias) <= 0.1e-3 + 3 * found.bias_error
    assert 0.80 <= found.held <= 0.98  # 100 runs: 90% within three standard errors


@pytest.mark.slow
def test_the_searchs_own_rows_flatter_what_they_chose():
    found = found_of(2e-3, False, 40)
    assert found.bias > 1e-3
    assert table([found]).endswith(f"{found.held:.1%} |")
