"""Every pick rule, see `bench.testing.rules`, and in small cases worked by hand; and the aims that
a policy sets.
"""

import numpy as np
import pytest

from bench.deciding.aims import aims_of
from bench.deciding.policy import PICK_RULES, Policy, Terms
from bench.ledger.effect import Effect
from bench.testing import checks

EVERY = [
    pytest.param(check, id=f"{name}-{check}")
    for name in PICK_RULES
    for check in checks("rule", name)
]


def terms(*weights, signs=None, linear=False):
    shares = np.array(weights, dtype=float)
    return Terms(
        shares / shares.sum(), np.array(signs or [1.0] * len(shares)), np.full(len(shares), linear)
    )


@pytest.mark.parametrize("check", EVERY)
def test_a_rule(check):
    check()


def test_the_knee_is_where_a_percent_buys_a_percent():
    """Of outcomes x and 1 / x the product is the same everywhere: all score alike, in any unit; a
    bulge wins.
    """
    ratio = np.array([0.5, 0.8, 1.0, 1.25, 2.0])
    even = np.stack([ratio - 1, 1 / ratio - 1], axis=1)
    np.testing.assert_allclose(PICK_RULES["knee"].score(even, terms(1, 1)), 0, atol=1e-12)
    bulge = np.concatenate([even, [[0.01, 0.0]]])
    assert PICK_RULES["knee"].score(bulge, terms(1, 1)).argmax() == 5


def test_the_knee_counts_half_the_cost_as_twice_the_outcome():
    halved = np.array([[0.0, 0.5]])  # a cost of one half: a gain of .5
    twice = np.array([[1.0, 0.0]])
    two_terms = terms(1, 1, signs=[1.0, -1.0])
    np.testing.assert_allclose(
        PICK_RULES["knee"].score(halved, two_terms), PICK_RULES["knee"].score(twice, two_terms)
    )


def test_utopia_is_nearest_to_the_best_of_each():
    gains = np.array([[0.0, 0.4], [0.3, 0.3], [0.4, 0.0]])
    scores = PICK_RULES["utopia"].score(gains, terms(1, 1))
    assert scores.argmax() == 1
    assert scores[1] == pytest.approx(-0.1)


CLICK, LIKE = NAMES = ("click.recall@10%", "like.recall@10%")
RATES = {"click": 0.1, "like": 0.02}
BASE, CHANCE = np.array([0.4, 0.2]), np.array([0.1, 0.1])


def aims(policy=None, named=True, names=NAMES):
    return aims_of(Policy.model_validate(policy or {}), names, RATES, named)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, np.log([1.1, 0.9]).mean()),
        ({"rule": "weights", "weights": {CLICK: 3, LIKE: 1}}, (3 * 0.1 - 0.1) / 4),
        ({"rule": "epsilon", "epsilon": {"best": LIKE}}, -0.1),
        (
            {"rule": "value", "values": {"click": 1, "like": 40}},
            (0.1 * 0.44 + 0.8 * 0.18) / (0.1 * 0.4 + 0.8 * 0.2) - 1,
        ),
        # reads no outcome: all weigh the same
        (
            {"rule": "weights", "weights": {"cost/parameters": 1}},
            0.0,
        ),
    ],
)
def test_u_is_what_the_policy_maximises(policy, expected):
    for aim in aims(policy)[:2]:
        assert aim.score(BASE * [1.1, 0.9], BASE) == pytest.approx(expected)
        np.testing.assert_allclose(aim.score(np.stack([BASE, BASE]), BASE), 0)


@pytest.mark.parametrize("values", [[1.1, 0.9], [1.5, 1.2], [0.3, 0.8]], ids=str)
def test_a_gain_in_per_cent_is_a_ratio_under_every_rule(values):
    """Of `knee` that of the geometric mean: outcomes that are 1.5 and 1.2 times as large gain
    34.2%, not 29.4.
    """
    for policy, expected in (
        ({}, np.sqrt(np.prod(values)) - 1),
        ({"rule": "epsilon", "epsilon": {"best": LIKE}}, values[1] - 1),
        (
            {"rule": "value", "values": {"click": 1, "like": 40}},
            (0.04 * values[0] + 0.16 * values[1]) / 0.2 - 1,
        ),
    ):
        aim = aims(policy | {"guard": {"max_loss_vs_current": float("inf")}})[0]
        gain = aim.fraction(aim.score(BASE * values, BASE))
        assert float(gain) == pytest.approx(expected)
        assert aim.effect(Effect(float(aim.score(BASE * values, BASE)))).value == pytest.approx(
            expected
        )


@pytest.mark.parametrize(
    ("policy", "floor"),
    [
        ({}, [0.38, 0.19]),
        ({"guard": {"max_loss_vs_current": {CLICK: 0.5}}}, [0.2, 0.19]),
        ({"guard": {"at_least": {CLICK: "98% of current"}}}, [0.392, 0.19]),
        ({"guard": {"at_least": {CLICK: 0.3}, "max_loss_vs_current": float("inf")}}, [0.3, 0.0]),
        (
            {"rule": "epsilon", "epsilon": {"best": LIKE, "subject_to": {CLICK: "98% of current"}}},
            [0.392, 0.0],
        ),
    ],
)
def test_with_a_current_point_floors_are_the_policys_limits_and_once_more_without_any_loss(
    policy, floor
):
    limits, lossless, *tilted = aims(policy)
    for aim in (limits, *tilted):
        np.testing.assert_allclose(aim.floors(BASE, CHANCE), floor)
    expected = np.where(
        np.array(limits.shares) > 0, np.maximum(limits.floors(BASE, CHANCE), BASE), floor
    )
    np.testing.assert_allclose(lossless.floors(BASE, CHANCE), expected)
    assert len({aim.name for aim in (limits, lossless, *tilted)}) == 2 + len(tilted)


@pytest.mark.parametrize(
    ("policy", "tilted"),
    [
        ({}, [[3 / 4, 1 / 4], [1 / 4, 3 / 4]]),
        ({"rule": "weights", "weights": {CLICK: 3, LIKE: 1}}, [[9 / 10, 1 / 10], [1 / 2, 1 / 2]]),
        (
            {"rule": "value", "values": {"click": 1, "like": 40}},
            [[3 / 11, 8 / 11], [1 / 25, 24 / 25]],
        ),
        ({"rule": "epsilon", "epsilon": {"best": LIKE}}, []),  # more of all that counts is the same
    ],
)
def test_anchors_have_each_outcome_three_times_as_important_as_the_policy_has_it(policy, tilted):
    for named, after in ((True, 2), (False, 1)):
        anchors = aims(policy, named)[after:]
        assert [aim.title for aim in anchors] == [
            f"{CLICK} counts 3 times",
            f"{LIKE} counts 3 times",
        ][: len(tilted)]
        np.testing.assert_allclose([aim.weights for aim in anchors], tilted)


def test_without_one_models_are_compared_at_anchors_and_no_outcome_may_be_below_a_random_order():
    anchors = aims({"guard": {"at_least": {LIKE: 0.15}}}, named=False)
    assert anchors[0].title == "all count alike"
    assert [aim.floors(BASE, CHANCE).tolist() for aim in anchors] == [[0.1, 0.15]] * 3
    # there is one outcome, and no anchor
    (of_values,) = aims({"rule": "value", "values": {"like": 2}}, named=False)
    assert of_values.title == "the policy"
