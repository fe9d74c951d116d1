"""A drawn world has the truth that it says, and a decision in it is recorded; `decision_worlds.py` does many."""

import json

import numpy as np
import pytest
from decision_worlds import cells_of, record_of, table_of
from drawn_worlds import Case, Ranked, climbed, drawn, starts_of
from served_worlds import Kind, Setup, conflicting

from bench.results.fusion import Fusion


@pytest.fixture(scope="module")
def case():
    """One model that knows the probabilities of two tasks, whose events have values."""
    setup = Setup("", conflicting(2, 2_000, 0, 1), [Kind("oracle", 0, 0, 1)], "recall@10%", 800)
    return Case(setup, ("oracle", Fusion.of("power", [1, 1])), True, values=np.array([0.2, 0.6]))


@pytest.mark.parametrize("kind", ["power", "sum"])
def test_true_outcomes_are_those_that_the_package_measures(case, kind):
    fusion = Fusion.of(kind, [0.3, 0.7])
    assert case.truth(("oracle", fusion)) == pytest.approx(case.setup.truth(["oracle"], [fusion])[0], rel=1e-3)


def test_climbing_finds_that_true_probabilities_are_best_weighted_by_the_values_of_their_events(case):
    p = case.setup.world.joint(case.setup.world.logits)
    rows = Ranked([p], p, p.mean(axis=0), np.ones(1))
    rng = np.random.default_rng(0)
    found = [climbed(lambda fusion: case.u(rows.outcomes(fusion)), each, rng)[0] for each in starts_of(2, 3, rng)]
    best = case.u(rows.outcomes(Fusion.of("sum", case.values.tolist())))
    assert best - 1e-4 < max(found) < best + 1e-6


@pytest.mark.slow
def test_in_null_worlds_nothing_gains_and_in_others_the_first_candidate_is_ahead():
    for of, least, most in (("null", -1e-9, 1e-3), ("one ahead", 0.003, 0.15)):
        world = drawn(2, of, 3)
        best = world.best([])
        assert least <= world.u(world.truth(best)) - world.u(world.truth(world.today)) <= most
    assert best[0] == "1"


@pytest.mark.slow
def test_a_world_is_drawn_decided_and_recorded():
    line = json.loads(json.dumps(record_of(2, "mixed", 1)))
    assert line["u"]["picked"] <= line["u"]["best"] + 1e-9 or line["broken"]
    assert len(cells_of([line])) == table_of([line]).splitlines()[0].count("|") - 2
