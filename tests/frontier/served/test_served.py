"""The served front of candidates whose relation is known."""

from dataclasses import replace

import numpy as np
import pytest

from bench.results.effect import Effect
from bench.results.fusion import Fusion
from bench.results.served.measuring import CurrentRanking
from bench.results.served.served import served_front
from bench.results.served.store import digest_of, load, save, to_json

EQUAL = Fusion.of("power", (1, 1))


def front_of(world, candidates, outcomes, current=None, setting=EQUAL):
    at = CurrentRanking(current or candidates[0].id, setting)
    return served_front(candidates, world.rows, outcomes, at, seed=1, resamples=40, draws=400)


@pytest.fixture
def two(world, outcomes):
    """A good candidate and a dominated one, and their front."""
    made = world(1200)
    candidates = [made.candidate("good", noise=0.1), made.candidate("trees", "baseline", noise=0.1, worse=1.5)]
    return made, candidates, front_of(made, candidates, outcomes)


def test_one_task_alone_is_at_the_ends_and_weights_in_between_trade(two, outcomes):
    served = two[2]
    good = (served.table["point"] == "good").to_numpy()
    click, like = served.at("confirm")[good & served.front].T
    assert len(click) > 5
    assert (np.diff(like[click.argsort()]) <= 0).all()
    assert (served.at("test")[good] > 0.1).any(axis=0).all()  # what a random order has
    assert (served.at("test", "low") <= served.at("test")).all()


def test_gains_are_fractions_of_the_current_point(two):
    served, current = two[2], two[2].current
    apart = np.abs(served.at("valid") - served.at("confirm"))  # which a pick reads, the same models: near, not equal
    assert ((np.median(apart, axis=0) > 0) & (np.median(apart, axis=0) < 0.1)).all()
    assert served.table.loc[current, "weights"] == {"click": 0.5, "like": 0.5}
    for split in ("test", "confirm"):
        values = served.at(split)
        np.testing.assert_allclose(served.at(split, "gain"), values / values[current] - 1)
        assert all(each == Effect(0, 0, 0) for each in served.gains(current, split).values())


def test_values_that_choose_are_surer_with_more_rows_of_validation(world, outcomes):
    """A mean of both splits: with nine times as many rows there, the error is .53 of that of confirmation rows."""
    made = world(600, valid=5400)
    candidates = [made.candidate("a", seeds=()), made.candidate("b", seeds=())]
    errors = [np.median(front_of(made, candidates, outcomes).draws["confirm"].std(axis=0))]
    del made.rows["valid"]
    errors.append(np.median(front_of(made, candidates, outcomes).draws["confirm"].std(axis=0)))
    assert errors[0] / errors[1] == pytest.approx(0.53, abs=0.12)


def test_a_dominated_candidate_is_not_on_the_front(two):
    table = two[2].table
    assert (table["point"][table["on_front"]] == "good").all()
    assert set(table["point"]) == {"good", "trees"}, "it is compared all the same"
    assert table["p_nondominated"].isna().all(), "of served points nobody can tell"


def test_segments_are_measured_on_their_own_rows(world, outcomes):
    made = world(1500, codes=True)
    served = front_of(made, [made.candidate("a", noise=0.1), made.candidate("b", noise=0.1)], outcomes)
    for split in ("confirm", "test"):
        assert {*served.slices(split)} >= {"country=US", "country=FR"}
        for name in ("country=US", "country=FR"):
            assert all(each == Effect(0, 0, 0) for each in served.gains(served.current, split, name).values())
            low, value, high, whole_low, whole_high = (
                served.at(split, part, slice)
                for part, slice in [("low", name), ("value", name), ("high", name), ("low", "all"), ("high", "all")]
            )
            assert (low <= value).all()
            assert (high - low).mean() > (whole_high - whole_low).mean()  # of fewer rows


def test_it_is_the_same_again_and_from_files(two, outcomes, tmp_path):
    made, candidates, served = two
    again = front_of(made, candidates, outcomes)
    assert all(np.array_equal(own, again.draws[split]) for split, own in served.draws.items())
    digest = digest_of(candidates, made.rows, outcomes, CurrentRanking("good", EQUAL), 1)
    save(served, tmp_path, digest)
    found = load(tmp_path, digest)
    assert found.table.equals(served.table)
    for own, read in ((served.cells, found.cells), (served.draws, found.draws)):
        assert list(own) == list(read)
        assert all(np.array_equal(own[key], read[key], equal_nan=True) for key in own)
    np.testing.assert_array_equal(found.random, served.random)
    np.testing.assert_allclose(served.random, 0.1)  # of recall in the first tenth
    assert found.hypervolume == served.hypervolume
    assert load(tmp_path, digest_of(candidates, made.rows, outcomes, CurrentRanking("good", EQUAL), 2)) is None
    other = [replace(candidates[0], predictions=made.candidate("other").predictions), candidates[1]]  # trained again
    assert load(tmp_path, digest_of(other, made.rows, outcomes, CurrentRanking("good", EQUAL), 1)) is None
    for file in tmp_path.iterdir():  # damaged: it is drawn anew
        whole = file.read_bytes()
        half = len(whole) // 2
        flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        for left in (b"", whole[:half], b"[1]", flipped):
            file.write_bytes(left)
            assert load(tmp_path, digest) is None
        file.write_bytes(whole)
    shown = to_json(served)
    assert shown["points"][0]["on_front"]
    assert shown["current"]["trial"] == "good"
    assert set(shown["points"][0]["outcomes"]) == {each.name for each in outcomes}
