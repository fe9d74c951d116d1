"""Sentences on what holds a task back and on orders within groups, from values made up so that one
cause is at work.
"""

import pytest
from scipy import stats

from bench.core.records import Point, Replicate
from bench.core.schema import Task
from bench.ledger.diagnosis import (
    DOMINATED,
    FEWEST_PROBES,
    LOST,
    OPPOSED,
    OUTWEIGHED,
    Gap,
    References,
    causes,
    sentences,
)
from bench.ledger.within import areas_of, warning


def seen(cosine=0.0, below=0.5, ratio=1.0, best=(100, 100), lost=0.0):
    """Two tasks; click's weighted gradient is `ratio` times like's, and click is best at the first
    of `best`.
    """
    angle = {"cosine": cosine, "below_zero": below, "probes": 20}
    course = zip(("click", "like"), best, (lost, 0.0), strict=True)
    return {
        "probes": 20,
        "tasks": {
            name: {"pull": {"representation": 1.0, "all shared": pull}}
            for name, pull in (("click", ratio), ("like", 1))
        },
        "pairs": [
            {"tasks": ["click", "like"], "blocks": {"representation": angle, "all shared": angle}}
        ],
        "course": {
            f"{name}.auc": {
                "task": name,
                "best_samples": best_samples,
                "last_samples": 100,
                "best": 0.8,
                "lost": by,
            }
            for name, best_samples, by in course
        },
    }


def names(diagnosis, task="like"):
    return [cause.name for cause in causes(diagnosis, task)]


@pytest.mark.parametrize(
    ("diagnosis", "of_like", "of_click"),
    [
        (seen(), [], []),
        (seen(cosine=-0.4, below=0.9), ["conflicting directions"], ["conflicting directions"]),
        (seen(cosine=-0.4, below=0.5), [], []),
        (seen(cosine=OPPOSED, below=0.9), [], []),
        (seen(ratio=10.0), ["unequal scale"], []),
        (seen(ratio=DOMINATED), [], []),
        (seen(best=(40, 100), lost=0.01), ["unequal speed"], ["unequal speed"]),
        (seen(best=(60, 100), lost=0.01), [], []),
        (seen(best=(40, 100), lost=LOST), [], []),
    ],
)
def test_a_cause_is_named_where_its_evidence_is_beyond_the_thresholds(diagnosis, of_like, of_click):
    assert names(diagnosis) == of_like
    assert names(diagnosis, "click") == of_click


def test_the_best_supported_cause_comes_first():
    scale_and_direction = seen(cosine=-0.4, below=0.6, ratio=30.0)  # strengths .2 and .9
    assert names(scale_and_direction) == ["unequal scale", "conflicting directions"]
    assert names(seen(cosine=-0.4, below=1.0, ratio=4.0)) == [
        "conflicting directions",
        "unequal scale",
    ]


@pytest.mark.parametrize(("ratio", "scale"), [(OUTWEIGHED, []), (200.0, ["unequal scale"])])
def test_too_few_probes_say_nothing_but_that_one_task_outweighs_all(ratio, scale):
    few = seen(cosine=-0.9, below=1.0, ratio=ratio)
    few["probes"] = few["pairs"][0]["blocks"]["representation"]["probes"] = FEWEST_PROBES - 1
    few["pairs"][0]["blocks"]["all shared"]["probes"] = FEWEST_PROBES - 1
    assert names(few) == scale
    (sentence,) = sentences(few, [Gap("like.auc", 0.01, "trial 3", True, 0.0)])
    assert ("seen in 2 probes only" in sentence) == (not scale)


def test_a_point_is_held_against_the_best_single_task_model(point, objectives):
    points = [point(0, 0.70, 0.85, kind="single_task"), point(1, 0.74, 0.80), point(2, 0.76, 0.86)]
    click, like = References(points, objectives).gaps(points[1])
    assert (click.short, click.single, click.real) == (pytest.approx(-0.04), True, False)
    assert (like.short, like.against, like.real) == (pytest.approx(0.05), "trial 0", True)


def test_confirmed_points_are_held_against_confirmed_ones_with_their_noise(point, objectives):
    def runs(*values):
        return tuple(((value, value), (value, value)) for value in values)

    single = point(0, 0.9, 0.9, kind="single_task", runs=runs(0.80, 0.82))
    near, far = point(1, 0.7, 0.7, runs=runs(0.78, 0.80)), point(2, 0.7, 0.7, runs=runs(0.70, 0.72))
    unconfirmed = point(3, 0.85, 0.85)
    references = References([single, near, far, unconfirmed], objectives)
    deviation = 0.02 / 2**0.5  # of two values .02 apart
    assert references.gaps(near)[0].short == pytest.approx(0.02)
    assert references.gaps(near)[0].noise == pytest.approx(2 * deviation)
    assert [references.gaps(point)[0].real for point in (near, far)] == [False, True]
    # against .9, which the search saw
    assert references.gaps(unconfirmed)[0].short == pytest.approx(0.05)


TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", kind="regression"))


def point(name, click, buy):
    """One whose areas within groups are these, by replicate; rows add no noise."""
    runs = [
        Replicate(
            number,
            number,
            {"confirm/click.auc": 0.86, "confirm/click.gauc": click_area}
            | {"confirm/buy.ctcvr.auc": 0.7, "confirm/buy.ctcvr.gauc": buy_area},
        )
        for number, (click_area, buy_area) in enumerate(zip(click, buy, strict=True))
    ]
    return Point(name, {}, name, replicates=tuple(runs))


def test_an_order_within_groups_that_may_be_chance_is_said_of_the_task_that_has_it():
    blind = point("trees", [0.49, 0.53, 0.51], [0.62, 0.64, 0.63])
    areas = areas_of([blind], TASKS)
    assert list(areas["trees"]) == ["click", "buy"]
    area = areas["trees"]["click"].groups
    low, high = stats.t.interval(0.9, 2, 0.51, stats.sem([0.49, 0.53, 0.51]))
    assert (area.low, area.high) == pytest.approx((low, high), abs=1e-3)
    assert [task in warning(areas, "trees", "user_id") for task in ("click", "buy")] == [
        True,
        False,
    ]


def test_areas_stand_in_the_order_of_their_points():
    names = ["trees", "single_task", "ensemble", "blend", "equal_weights", "random_weights"]
    points = [point(name, [0.49, 0.53, 0.51], [0.62, 0.64, 0.63]) for name in names]
    assert list(areas_of(points, TASKS)) == names
