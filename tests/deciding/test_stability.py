"""How sure a pick is: small cases by hand, against the definition, and against a closed form."""

from dataclasses import replace

import numpy as np
import pytest
from choice_toys import CLICK, EQUAL, LIKE, made, served_of
from scipy import stats

from bench.deciding.choices import CHOOSING, served_choices
from bench.deciding.judging import Judge
from bench.deciding.pick import pick
from bench.deciding.policy import Policy
from bench.deciding.stability import grid_of

ANYTHING = {"rule": "weights", "guard": {"max_loss_vs_current": float("inf")}}


def picked(choices, **policy):
    return pick(choices, [], Policy.model_validate(policy or ANYTHING))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_the_grid_is_even_over_the_simplex(objectives):
    grid = grid_of(objectives)
    assert len(grid) <= 231
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert {tuple(row) for row in np.eye(objectives)} <= {tuple(row) for row in grid}


def test_of_two_points_each_wins_where_its_outcome_weighs_more():
    stability = picked(made({"0": (0.7, 0.8), "1": (0.8, 0.7), "current": (0.6, 0.6)})).stability
    # a tie to the upper row
    assert {point.point: point.share for point in stability.points} == {
        "0": 11 / 21,
        "1": 10 / 21,
    }
    assert (stability.holds, stability.points[0].by_rule) == (None, None)


def test_how_often_a_point_comes_first_is_the_closed_form():
    """P(a normal of mean .02 and deviation .02 sqrt 2 is above 0), where each value moves by 2%."""
    choices = made(
        {"current": (1.0, 1.0), "0": (2.04, 1.0), "1": (2.0, 1.0)}, noise=0.01, draws=4000
    )
    stability = picked(
        choices, rule="weights", weights={CLICK: 1}, guard=ANYTHING["guard"]
    ).stability
    assert stability.points[0].point == "0"
    assert stability.points[0].by_rule == pytest.approx(
        stats.norm.cdf(0.04 / (0.02 * np.sqrt(2) * 1.01)), abs=0.02
    )


def test_holds_is_what_its_docstring_says():
    """The definition, draw by draw and row by row, with limits on outcomes and on a cost; models
    have several rows.
    """
    rng = np.random.default_rng(3)
    some = {
        f"{number % 3} {number}": tuple(rng.uniform((0.1, 0.49), (0.11, 0.55)))
        for number in range(12)
    }
    rows = {"current": (0.10, 0.50)} | some
    choices = made(rows, noise=0.02, draws=200, **{"cost/parameters": rng.uniform(1, 9, 13)})
    weights, loss, upper = {CLICK: 3.0, LIKE: 1.0}, 0.04, 7.0
    policy = {
        "rule": "weights",
        "weights": weights,
        "guard": {"max_loss_vs_current": loss, "at_most": {"cost/parameters": upper}},
    }
    chosen = picked(choices, **policy)
    size, share = choices.table["cost/parameters"].to_numpy(), np.array([0.75, 0.25])
    passing = Judge(Policy.model_validate(policy), choices).passing
    own_rows = [
        row for row in range(13) if choices.of("point", row) == chosen.point and passing[row]
    ]
    assert len(own_rows) > 1
    holds = []
    for drawn in choices.drawn:
        now = drawn[0]
        scores = [float(share @ ((row - now) / now)) for row in drawn]
        feasible = [
            number
            for number, row in enumerate(drawn)
            if (row >= (1 - loss) * now).all() and size[number] <= upper
        ]
        keeps = [row for row in own_rows if (drawn[row] >= (1 - 0.005) * (1 - loss) * now).all()]
        best = max(scores[row] for row in feasible)
        holds.append(any(scores[row] >= best - 0.005 for row in keeps))
    assert chosen.stability.holds == pytest.approx(np.mean(holds))
    assert 0.1 < chosen.stability.holds < 0.9


def test_a_pick_that_seldom_holds_says_how_often_it_breaks_a_limit():
    choices = made({"current": (1.0, 1.0), "0": (1.5, 0.954)}, noise=0.01, draws=4000)
    chosen = picked(choices, rule="knee", guard={"max_loss_vs_current": 0.05, "confidence": 0.5})
    assert 0.7 < chosen.stability.keeps < 0.8
    assert f"retrainings, and breaks a limit in {1 - chosen.stability.keeps:.0%}" in chosen.reason


@pytest.mark.slow
@pytest.mark.parametrize("distance", [0.0, 0.01, 0.04])
def test_a_pick_holds_as_often_as_it_would_if_all_were_trained_again(distance):
    """Six models whose true values are `distance`, each measured with an error of 2%, on average over
    such runs.
    """
    announced, true = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = 0.5 * np.exp(np.concatenate([[[0.0, 0.0]], distance * rng.normal(size=(6, 2))]))
        error = 0.02 * np.array([0.0, *[1.0] * 6])[:, None]
        rows = truth * np.exp(error * rng.normal(size=truth.shape))
        toys = made(
            {"current": rows[0]} | {str(number): row for number, row in enumerate(rows[1:])},
            noise=0.01,
        )
        draws = rows * np.exp(error * rng.normal(size=(600, 7, 2)))
        choices = served_choices(
            served_of(replace(toys, draws={**toys.draws, CHOOSING: draws})), [], EQUAL
        )
        chosen = picked(choices, rule="knee", guard=ANYTHING["guard"])
        again = np.log(truth * np.exp(error * rng.normal(size=(600, 7, 2)))).mean(axis=-1)
        announced.append(chosen.stability.holds)
        true.append(np.mean(again[:, chosen.row] >= again.max(axis=1) - 0.005))
    off = np.array(announced) - np.array(true)
    assert abs(off.mean()) < 0.03 + 2.5 * off.std() / np.sqrt(len(off))
