"""The answer about gradient methods is seldom wrong on simulated runs; `answers.py` does it at length."""

from __future__ import annotations

import pytest
from answers import SETTINGS, TUNED, tally_of, tuned_of


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_false_answers_are_rare(setting) -> None:
    tally = tally_of(setting, 25)
    assert max(tally.yes[0], tally.no[2]) <= 0.16  # 25 runs at 5%: four in a thousand have more


@pytest.mark.slow
@pytest.mark.parametrize("setting", TUNED[4:12:2], ids=lambda setting: setting.name)
def test_luck_in_tuning_seldom_makes_a_false_answer(setting) -> None:
    equal, ahead = tuned_of(setting, 25)
    assert max(equal[1], ahead[3]) <= 0.16


@pytest.mark.slow
def test_ten_replicates_find_a_front_two_margins_beyond() -> None:
    [setting] = [each for each in SETTINGS if each.name == "10 replicates"]
    tally = tally_of(setting, 20)
    assert tally.yes[2] > 0.9
    assert tally.no[0] > 0.9
