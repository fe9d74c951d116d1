"""Promotion: its rules as properties over searches that are played through, in any order of arrival."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.objectives import Objective
from bench.search.ranking import Rules, promotions
from bench.search.standing import RungStep, Standing, Standings

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))
AT = {"a.auc": -1.0, "b.logloss": 2.0}
RUNGS = (1, 3, 9, 27)


def rules(eta=3, tries=0, share=1.0, **options):
    eta = eta if isinstance(eta, tuple) else (eta,)
    return Rules(RUNGS, eta, TWO, AT, tries, share, **options)


def waiting(number, *results, kind="mmoe"):
    return Standing(number, kind, results, "waiting")


def promote(standings, rules, slots):
    return list(islice(promotions(Standings(standings), rules), slots))


def dominates(x, y):
    better = (x[0] - y[0], y[1] - x[1])
    return min(better) >= 0 and max(better) > 0


def settled(of, rung):
    """Whether it is known what became of a trial at a rung: a result, or failed on the way there."""
    return len(of.results) > rung or (len(of.results) == rung and of.progress == "failed")


def left(of, rung):
    """Whether it went on from a rung, whatever came of that."""
    return of.begun > rung + 1


def waits(of, rung):
    """Whether it could go on from a rung now."""
    return len(of.results) == rung + 1 and of.progress == "waiting"


VALUE = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
OUTCOME = st.one_of(*[st.tuples(VALUE, VALUE)] * 5, st.just(None), st.just((math.nan, 0.5)))
TRIAL = st.tuples(st.sampled_from(["single_task", "mmoe", "ple"]), st.lists(OUTCOME, min_size=4, max_size=4))
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
        at_rung = [s for s in before if len(s.results) > rung and np.isfinite(s.results[rung]).all()]
        better = [s for s in at_rung if dominates(s.results[rung], standing.results[rung])]
        of_rung = eta[min(rung, len(eta) - 1)]
        places = math.floor(sum(settled(s, rung) and rung not in s.granted for s in before) / of_rung)
        if promotion.floor:
            assert not any(waits(s, rung) and s.kind == standing.kind and s.number < promotion.trial for s in better)
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
def test_a_trial_that_dominates_all_others_is_never_stopped(trials, eta, tries, share, slots, random):
    at = random.randrange(len(trials))
    trials[at] = ("mmoe", [(2.0, -0.5)] * 4)
    play = Play(trials, rules(eta, tries, share), slots, random)
    reached = len(play.standings[at].results) - 1
    if reached < 3:  # too few others have come as far, and nothing else can stop it
        assert sum(settled(s, reached) for s in play.standings) < eta[min(reached, len(eta) - 1)]


@settings(max_examples=60)
@given(trials=TRIALS, eta=PLAYS["eta"], tries=PLAYS["tries"], random=PLAYS["random"])
def test_who_survives_a_full_rung_does_not_depend_on_the_order_of_arrival(trials, eta, tries, random):
    standings = [
        Standing(n, kind, (), "failed") if of[0] is None else Standing(n, kind, (of[0],), "waiting")
        for n, (kind, of) in enumerate(trials)
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
        (kind, value) for row in zip(*results.values(), strict=True) for kind, value in zip(results, row, strict=True)
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
    assert promote(standings, rules(4, tries=3), 9) == [RungStep(0, 1)]  # not all of its tries were made


def test_the_floor_keeps_to_its_share():
    standings = by_kind({"mmoe": [(0.9, 0.1)] * 10, "ple": [(0.2, 0.9)] * 10})  # 20 samples; a step to rung 1 takes 2
    floors = [p.trial for p in promote(standings, rules(21, tries=1, share=1.0), 9)]
    assert floors == [0, 1]
    assert [p.trial for p in promote(standings, rules(21, tries=1, share=2 / 22), 9)] == [0]
    assert promote(standings, rules(21, tries=1, share=1.9 / 22), 9) == []


@settings(max_examples=30)
@given(
    outcomes=st.lists(st.lists(st.tuples(VALUE, VALUE), min_size=4, max_size=4), min_size=8, max_size=20),
    random=PLAYS["random"],
)
def test_every_kind_is_seen_at_full_length(outcomes, random):
    """One kind is worse than all others everywhere; where nothing fails and the share allows, one of it gets there."""
    poor = [("single_task", [(-0.5, 1.5)] * 4)] * 2
    trials = poor + [("mmoe", of) for of in outcomes]
    play = Play(trials, rules(3, tries=2), 2, random)
    assert max(len(play.standings[n].results) for n in (0, 1)) == 4
    assert sum(len(play.standings[n].results) for n in (0, 1)) == 5  # and only one
