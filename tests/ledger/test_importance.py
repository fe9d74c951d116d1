from typing import Any

import numpy as np
import pytest
from scipy.stats import f_oneway, rankdata

from bench.core.records import TrialRecord
from bench.ledger.importance import importances


def trials(params):
    return [TrialRecord(i, "completed", param, param, "mmoe") for i, param in enumerate(params)]


def drawn(rng, count):
    """Two kinds; of kind b a width that matters, and everywhere a rate that matters little and
    noise that does not.
    """
    params, merits = [], []
    for _ in range(count):
        kind = str(rng.choice(["a", "b"]))
        config: dict[str, Any] = {
            "kind": kind,
            "rate": float(rng.uniform()),
            "nothing": int(rng.integers(50)),
        }
        if kind == "b":
            config["width"] = int(rng.choice([8, 16, 32]))
        params.append(config)
        merit = 1.5 * (kind == "b") + 0.06 * config.get("width", 0) + 0.6 * config["rate"]
        merits.append(merit + rng.normal(0, 0.5))
    return trials(params), np.array(merits)


def test_shares_are_those_of_an_analysis_of_variance():
    records, merits = drawn(np.random.default_rng(0), 300)
    kind = next(
        importance
        for importance in importances(records, merits, seed=1)
        if importance.name == "kind"
    )
    ranks = rankdata(merits)
    groups = [ranks[[record.params["kind"] == name for record in records]] for name in "ab"]
    statistic = float(f_oneway(*groups).statistic)
    residual = sum(((group - group.mean()) ** 2).sum() for group in groups) / (300 - 2)
    assert kind.share == pytest.approx(
        (statistic - 1) * residual / ((ranks - ranks.mean()) ** 2).sum()
    )


@pytest.mark.slow
def test_intervals_hold_the_truth_and_what_does_nothing_explains_nothing():
    rng = np.random.default_rng(5)
    records, values = drawn(rng, 20_000)
    truth = {
        importance.name: importance.share
        for importance in importances(records, values, seed=0, draws=2)
    }
    assert truth["nothing"] < 0.001 < truth["rate"] < truth["width"] < truth["kind"]
    inside = dict.fromkeys(truth, 0)
    for world in range(100):
        for importance in importances(*drawn(rng, 150), seed=world, draws=60):
            inside[importance.name] += importance.low <= truth[importance.name] <= importance.high
    # of 100; at a coverage of 90%, 1 in 200 has fewer
    assert all(count >= 82 for count in inside.values()), inside


def test_a_branch_is_not_credited_to_its_parameters():
    rng = np.random.default_rng(2)
    params = [
        {"kind": "a"} if i % 2 else {"kind": "b", "width": float(rng.uniform())} for i in range(200)
    ]
    by_name = {
        importance.name: importance
        for importance in importances(
            trials(params), np.arange(200) % 2 * 9 + rng.normal(size=200), 0
        )
    }
    assert by_name["kind"].share > 0.7
    assert by_name["width"].share < 0.05
    assert by_name["width"].trials == 100
