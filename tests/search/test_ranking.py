"""The order of trials, at one rung and across rungs; and promotion, in searches that are played
through.
"""

import math
from dataclasses import replace
from itertools import islice

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.core.objectives import Objective
from bench.ledger.pareto import contributions, ranks
from bench.search.promotion import (
    COMPARED,
    NET,
    SLOPES,
    Order,
    Rules,
    best_first,
    epsilon_net,
    full_length,
    merits,
    promotions,
    to_full_length,
)
from bench.search.standing import RungStep, Standing, Standings

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))
AT = {"a.auc": -0.5, "b.logloss": 1.5}
# few distinct values, so that ties and copies are common
POINTS = arrays(
    float,
    st.tuples(st.integers(0, 14), st.just(2)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
LINE = np.array([[0.0, 1.0], [0.1, 0.9], [0.5, 0.6], [0.95, 0.05], [1.0, 0.0]])


@given(values=POINTS, random=st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_depend_on_the_order_of_rows(values, random):
    shuffled = values[random.sample(range(len(values)), len(values))]
    np.testing.assert_array_equal(
        values[best_first(values, TWO, AT)], shuffled[best_first(shuffled, TWO, AT)]
    )


@given(POINTS)
def test_ties_go_by_hypervolume_contribution(values):
    """Against `bench.decide`, which takes the hypervolume of the front without each point in
    turn.
    """
    front = np.unique(values[ranks(values, TWO) == 0], axis=0)
    gain = contributions(front, TWO, AT)[best_first(front, TWO, AT)]
    assert (np.diff(gain) <= 1e-12).all()


def test_epsilon_net_takes_the_farthest_next():
    # from the middle (largest sum): both ends, then the inner points, each by its distance to what
    # is taken
    order = np.argsort(-epsilon_net(LINE), kind="stable")
    assert order[0] == 2
    taken = [order[0]]
    for nxt in order[1:]:
        gap = {
            i: min(math.dist(LINE[i], LINE[j]) for j in taken) for i in range(5) if i not in taken
        }
        assert gap[nxt] == pytest.approx(max(gap.values()))
        taken.append(nxt)


def test_unmeasured_rows_are_last():
    values = np.array([[math.nan, 0.0], [0.1, 0.9], [math.inf, 0.0], [0.2, 0.1]])
    assert best_first(values, TWO, AT).tolist() == [3, 1, 0, 2]
    assert best_first(values[[0, 2]], TWO, AT).tolist() == [0, 1]


@settings(max_examples=30)
@given(values=POINTS, random=st.randoms(use_true_random=False))
def test_what_is_asked_of_an_order_is_what_stands_there_once_all_is_in_order(values, random):
    values = np.vstack([values, [[math.nan, 0.0]]])
    whole = best_first(values, TWO, AT)
    order = Order(values, TWO, AT)
    named = np.array([random.random() < 0.3 for _ in values])
    ranked = [(place, row) for place, row in enumerate(whole[: order.measured]) if named[row]]
    assert order.measured == len(values) - 1
    assert order.best_of(named) == (ranked[0] if ranked else None)
    places = np.array(random.sample(range(len(values)), min(3, len(values))))
    np.testing.assert_array_equal(order.rows_at(places), whole[places])


def test_of_a_large_front_the_first_to_cover_it_are_compared_and_the_rest_come_by_their_distance():
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(NET + 100, 4)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    net = np.argsort(-epsilon_net(points), kind="stable")
    scaled = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    distances = np.linalg.norm(scaled[net, None] - scaled[net[None, :NET]], axis=2).min(axis=1)
    assert (np.diff(distances[NET:]) <= 1e-12).all()
    assert distances[NET] <= min(
        np.linalg.norm(scaled[a] - scaled[b]) for a in net[:NET:8] for b in net[:NET:8] if a < b
    )
    order = np.argsort(-merits(points, np.zeros(4)), kind="stable")
    assert set(order[:COMPARED]) == set(net[:COMPARED])
    rest = np.sort(order[COMPARED:])
    np.testing.assert_array_equal(
        order[COMPARED:], rest[np.argsort(-epsilon_net(points[rest]), kind="stable")]
    )
    gain = moocore.hv_contributions(points[order[:COMPARED]], ref=np.zeros(4), maximise=True)
    assert (np.diff(gain) <= 0).all()


def test_a_step_is_a_line_by_medians():
    results = [
        [(0.5, 0.6), (0.6, 0.4), (0.9, 0.1)],
        [(0.4, 0.6), (0.6, 0.3)],
        [(0.3, 0.5), (0.3, -0.3)],
        [(0.2, 0.7)],
    ]
    # First step, first objective: slopes between pairs 0, 1.5 and 3, of which the median, 1.5,
    # counts for 3/4; what is left is .6 - .6875, .6 - .55 and .3 - .4125. Second objective: 7 and
    # 6, the pair of equals being none.
    slopes = 1 + 0.75 * 0.5, 1 + 0.75 * 5.5
    assert slopes[1] > SLOPES[1] == 5  # what is left by a slope of 5: -2.6, -2.7, -2.8
    offset = 0.6 - slopes[0] * 0.5
    # second step, of one trial: .3 and -.3
    ends = [
        (0.9, 0.1),
        (0.9, 0.0),
        (0.6, -0.6),
        (slopes[0] * 0.2 + offset + 0.3, 5 * 0.7 - 2.7 - 0.3),
    ]
    np.testing.assert_allclose(full_length(results, 2), ends, atol=1e-12)


def test_lines_are_those_of_another_library():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(40, 2))
    high = np.array([0.4, 1.7]) * low + 0.1 * rng.normal(size=(40, 2))
    ahead = to_full_length([[tuple(a), tuple(b)] for a, b in zip(low, high, strict=True)], 2)
    for m in range(2):
        slope = stats.theilslopes(high[:, m], low[:, m]).slope
        assert ahead.slopes[0, m] == pytest.approx(1 + (slope - 1) * 40 / 41)
        np.testing.assert_allclose(
            np.median(ahead.predict(0, low)[:, m] - high[:, m]), 0, atol=0.02
        )
    np.testing.assert_array_equal(ahead.predict(1, high), high)


CURVES = st.lists(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
    min_size=1,
    max_size=20,
)


@given(CURVES)
def test_at_one_rung_the_order_is_that_of_the_values(results):
    moved = full_length(results, 2)
    for rung in range(4):
        those = [i for i, curve in enumerate(results) if len(curve) == rung + 1]
        if those:
            last = np.array([results[i][-1] for i in those])
            for m in range(2):
                order = np.argsort(last[:, m], kind="stable")
                assert (np.diff(moved[those][order, m]) >= -1e-12).all()
                distinct = np.diff(last[order, m]) > 1e-6
                assert (np.diff(moved[those][order, m])[distinct] > 0).all()


LEAST = {"a.auc": -1.0, "b.logloss": 2.0}
RUNGS = (1, 3, 9, 27)


def rules(eta=3, tries=0, share=1.0, **options):
    eta = eta if isinstance(eta, tuple) else (eta,)
    return Rules(RUNGS, eta, TWO, LEAST, tries, share, **options)


def waiting(number, *results, kind="mmoe"):
    return Standing(number, kind, results, "waiting")


def promote(standings, rules, slots):
    return list(islice(promotions(Standings(standings), rules), slots))


def dominates(x, y):
    better = (x[0] - y[0], y[1] - x[1])
    return min(better) >= 0 and max(better) > 0


def settled(standing, rung):
    """Whether it is known what became of a trial at a rung: a result, or failed on the way
    there.
    """
    return len(standing.results) > rung or (
        len(standing.results) == rung and standing.progress == "failed"
    )


def left(standing, rung):
    """Whether it went on from a rung, whatever came of that."""
    return standing.begun > rung + 1


def waits(standing, rung):
    """Whether it could go on from a rung now."""
    return len(standing.results) == rung + 1 and standing.progress == "waiting"


VALUE = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
OUTCOME = st.one_of(*[st.tuples(VALUE, VALUE)] * 5, st.just(None), st.just((math.nan, 0.5)))
TRIAL = st.tuples(
    st.sampled_from(["single_task", "mmoe", "ple"]), st.lists(OUTCOME, min_size=4, max_size=4)
)
TRIALS = st.lists(TRIAL, min_size=1, max_size=30)


class Play:
    """A search with known outcomes: slots that end in a random order, None for a failure."""

    def __init__(self, trials, rules, slots, random):
        self.trials, self.rules, self.random = trials, rules, random
        self.standings: list[Standing] = []
        self.history: list[tuple[list[Standing], RungStep]] = []
        running = 0
        while True:
            while running < slots and self._start():
                running += 1
            if not running:
                return
            self._end(self.random.choice([s for s in self.standings if s.progress == "running"]))
            running -= 1

    def _start(self):
        before = list(self.standings)
        for promotion in promote(before, self.rules, 1):
            self.history.append((before, promotion))
            self.standings[promotion.trial] = self.standings[promotion.trial].after(promotion)
            return True
        if len(self.standings) == len(self.trials):
            return False
        number = len(self.standings)
        self.standings.append(Standing(number, self.trials[number][0], (), "running"))
        return True

    def _end(self, standing):
        outcome = self.trials[standing.number][1][len(standing.results)]
        done = replace(standing, progress="failed" if outcome is None else "waiting")
        if outcome is not None:
            done = replace(done, results=(*standing.results, outcome))
        self.standings[standing.number] = done


PLAYS = {
    "trials": TRIALS,
    "eta": st.sampled_from([(1,), (1.5,), (2,), (3,), (4,), (4, 1), (3, 1.5, 1)]),
    "tries": st.integers(0, 3),
    "share": st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    "slots": st.integers(1, 5),
    "random": st.randoms(use_true_random=False),
}


@settings(max_examples=60)
@given(**PLAYS)
def test_what_holds_of_every_search(trials, eta, tries, share, slots, random):
    play = Play(trials, rules(eta, tries, share), slots, random)
    seen = set()
    for before, promotion in play.history:
        standing, rung = before[promotion.trial], promotion.rung - 1
        # once to each rung, one rung at a time, never past a failure or an undefined value
        assert (promotion.trial, promotion.rung) not in seen
        seen.add((promotion.trial, promotion.rung))
        assert waits(standing, rung)
        assert np.isfinite(standing.results[rung]).all()
        at_rung = [
            s for s in before if len(s.results) > rung and np.isfinite(s.results[rung]).all()
        ]
        better = [s for s in at_rung if dominates(s.results[rung], standing.results[rung])]
        of_rung = eta[min(rung, len(eta) - 1)]
        places = math.floor(
            sum(settled(s, rung) and rung not in s.granted for s in before) / of_rung
        )
        if promotion.floor:
            assert not any(
                waits(s, rung) and s.kind == standing.kind and s.number < promotion.trial
                for s in better
            )
        else:
            # a dominated trial goes only when no trial that dominates it is left to take the slot
            assert not any(waits(s, rung) for s in better)
            worse = [s for s in at_rung if dominates(standing.results[rung], s.results[rung])]
            if len(worse) < len(at_rung) - 1:
                merit = sum(left(s, rung) and rung + 1 not in s.granted for s in before)
                assert merit < places
                assert len(better) < places


@settings(max_examples=60)
@given(**PLAYS)
def test_a_trial_that_dominates_all_others_is_never_stopped(
    trials, eta, tries, share, slots, random
):
    winner = random.randrange(len(trials))
    trials[winner] = ("mmoe", [(2.0, -0.5)] * 4)
    play = Play(trials, rules(eta, tries, share), slots, random)
    reached = len(play.standings[winner].results) - 1
    if reached < 3:  # too few others have come as far, and nothing else can stop it
        assert sum(settled(s, reached) for s in play.standings) < eta[min(reached, len(eta) - 1)]


@settings(max_examples=60)
@given(trials=TRIALS, eta=PLAYS["eta"], tries=PLAYS["tries"], random=PLAYS["random"])
def test_who_survives_a_full_rung_does_not_depend_on_the_order_of_arrival(
    trials, eta, tries, random
):
    standings = [
        Standing(n, kind, (), "failed")
        if outcomes[0] is None
        else Standing(n, kind, (outcomes[0],), "waiting")
        for n, (kind, outcomes) in enumerate(trials)
    ]
    chosen = promote(standings, rules(eta, tries), len(standings))
    shuffled = random.sample(standings, len(standings))
    assert promote(shuffled, rules(eta, tries), len(standings)) == chosen
    # without a floor, which goes by numbers, not even on who is which number
    renumbered = [replace(standing, number=number) for number, standing in enumerate(shuffled)]
    survivors = [
        sorted(those[p.trial].results for p in promote(those, rules(eta), len(those)))
        for those in (standings, renumbered)
    ]
    assert survivors[0] == survivors[1]


def test_the_highest_rung_goes_first():
    low = [waiting(n, (0.9, 0.1 * n)) for n in range(12)]
    high = [waiting(n, (0.1, 0.9), (0.1 * (n - 12), 0.9)) for n in range(12, 15)]
    assert promote(low + high, rules(), 2) == [RungStep(14, 2), RungStep(0, 1)]


def by_kind(results):
    """Trials of several kinds in turn, at the lowest rung; None for one on its way there."""
    turns = [
        (kind, value)
        for row in zip(*results.values(), strict=True)
        for kind, value in zip(results, row, strict=True)
    ]
    return [
        Standing(n, kind, (), "running") if value is None else waiting(n, value, kind=kind)
        for n, (kind, value) in enumerate(turns)
    ]


def test_the_floor_takes_the_best_of_each_kinds_first_tries():
    standings = by_kind({"mmoe": [(0.9, 0.1), (0.8, 0.1)], "ple": [(0.2, 0.9), (0.3, 0.8)]})
    # trial 0 by merit, which serves its kind; 3 is the better of ple's
    assert promote(standings, rules(4, tries=2), 9) == [RungStep(0, 1), RungStep(3, 1, floor=True)]
    assert promote(standings, rules(4, tries=1), 9) == [RungStep(0, 1), RungStep(1, 1, floor=True)]
    assert promote(standings, rules(4), 9) == [RungStep(0, 1)]
    # not all of its tries were made
    assert promote(standings, rules(4, tries=3), 9) == [RungStep(0, 1)]


def test_the_floor_keeps_to_its_share():
    # 20 samples; a step to rung 1 takes 2
    standings = by_kind({"mmoe": [(0.9, 0.1)] * 10, "ple": [(0.2, 0.9)] * 10})
    floors = [p.trial for p in promote(standings, rules(21, tries=1, share=1.0), 9)]
    assert floors == [0, 1]
    assert [p.trial for p in promote(standings, rules(21, tries=1, share=2 / 22), 9)] == [0]
    assert promote(standings, rules(21, tries=1, share=1.9 / 22), 9) == []


@settings(max_examples=30)
@given(
    outcomes=st.lists(
        st.lists(st.tuples(VALUE, VALUE), min_size=4, max_size=4), min_size=8, max_size=20
    ),
    random=PLAYS["random"],
)
def test_every_kind_is_seen_at_full_length(outcomes, random):
    """One kind is worse than all others everywhere; where nothing fails and the share allows, one
    of it gets there.
    """
    poor = [("single_task", [(-0.5, 1.5)] * 4)] * 2
    trials = poor + [("mmoe", outcome) for outcome in outcomes]
    play = Play(trials, rules(3, tries=2), 2, random)
    assert max(len(play.standings[n].results) for n in (0, 1)) == 4
    assert sum(len(play.standings[n].results) for n in (0, 1)) == 5  # and only one
