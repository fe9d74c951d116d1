"""The served front of candidates whose relation is known."""

from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.frontier.questions import QUESTIONS, readings
from bench.results.effect import Effect
from bench.results.fusion import Fusion
from bench.results.served.exchange import exchange
from bench.results.served.joint import moves, posterior
from bench.results.served.measuring import Current
from bench.results.served.served import served_front
from bench.results.served.slices import SLICES
from bench.results.served.store import digest_of, load, save, to_json

EQUAL = Fusion.of("power", (1, 1))


def of_logs(values):
    return np.log(np.maximum(values, 1e-9)).mean(axis=-1)


def front_of(world, candidates, outcomes, current=None, setting=EQUAL):
    at = Current(current or candidates[0].id, setting)
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


def test_a_dominated_candidate_is_not_on_the_front(two):
    table = two[2].table
    assert (table["point"][table["on_front"]] == "good").all()
    assert set(table["point"]) == {"good", "trees"}, "it is compared all the same"
    assert table["p_nondominated"].isna().all(), "of served points nobody can tell"


def test_two_identical_candidates_have_no_difference(world, outcomes):
    made = world(800)
    first = made.candidate("first")
    served = front_of(made, [first, replace(first, id="second")], outcomes)
    table = served.table
    weights = [tuple(each.values()) for each in table["weights"]]
    twins = {(kind, own): [] for kind, own in zip(table["kind"], weights, strict=True)}
    for at, key in enumerate(zip(table["kind"], weights, strict=True)):
        twins[key].append(at)
    pairs = [each for each in twins.values() if len(each) == 2]
    assert len(pairs) > 5
    for a, b in pairs:
        for draws in served.draws.values():
            np.testing.assert_array_equal(draws[:, a], draws[:, b])


def test_one_costs_the_other_along_the_front(two, outcomes):
    click, like = (each.name for each in outcomes)
    found = exchange(two[2], two[2].current, click, like)
    assert found.value > 0
    assert found.low < found.value < found.high
    assert f"At the pick, giving up 1% of {click} buys {found} of {like}." in readings(two[2], two[2].current)


def test_one_replicate_everywhere_has_values_without_intervals(world, outcomes):
    made = world(600)
    served = front_of(made, [made.candidate(name, seeds=(1,)) for name in "ab"], outcomes)
    assert not served.known
    assert np.isnan(served.at("test", "low")).all()
    assert np.isfinite(served.at("test")).all()
    assert np.isnan(served.hypervolume.low)
    assert served.hypervolume.value > 0
    assert np.isnan(exchange(served, served.current, *served.names).low)


def test_two_candidates_of_two_seeds_lose_no_more_than_all(world, outcomes):
    """Errors of one degree of freedom have the tails of a Cauchy distribution."""
    made = world(200, seed=6)
    served = front_of(made, [made.candidate(name, seeds=(1, 2), noise=1.5) for name in "ab"], outcomes)
    every, of = [*range(len(served.table))], served.at("test")
    draws = posterior(of, served.draws["test"].astype(float), every, served.current, of_logs, 0)
    told = [moves(of, draws, row, served.current, of_logs, served.names) for row in every]
    assert min(change.low for each in told for change in each.outcomes.values()) >= -1
    lowest = served.draws["test"].min(axis=0)[served.current].min()
    assert lowest > 0.02 * of[served.current].min()


def test_a_constant_head_counts_once(world, outcomes):
    """Where one head is constant, all weights but the other end give one order."""
    made = world(600)
    base = made.candidate("a")

    def constant(split, at):
        found = base.predictions(split, at).copy()
        found[:, 1] = 0.1
        return found

    served = front_of(made, [base, replace(base, id="constant", predictions=constant)], outcomes)
    assert (served.table["point"] == "constant").sum() <= 2


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


def test_a_slice_and_a_question_are_a_function_and_a_line_each(world, outcomes, monkeypatch):
    made = world(1500)
    monkeypatch.setitem(
        SLICES, "half", lambda rows: [("half=first", np.arange(len(rows.labels)) < len(rows.labels) // 2)]
    )
    monkeypatch.setitem(QUESTIONS, "half", lambda served, row: [str(served.gains(row, slice="half=first"))])
    served = front_of(made, [made.candidate("a", noise=0.1), made.candidate("b", noise=0.1)], outcomes)
    assert "half=first" in served.slices("test")
    assert served.slices("test") == served.slices("confirm")
    assert set(served.long["slice"]) == {"all", *served.slices("test")}
    assert readings(served, served.current)[-1] == str(served.gains(served.current, slice="half=first"))


def test_it_is_the_same_again_and_from_files(two, outcomes, tmp_path):
    made, candidates, served = two
    again = front_of(made, candidates, outcomes)
    assert all(np.array_equal(own, again.draws[split]) for split, own in served.draws.items())
    digest = digest_of(candidates, made.rows, outcomes, Current("good", EQUAL), 1)
    save(served, tmp_path, digest)
    found = load(tmp_path, digest)
    assert found.table.equals(served.table)
    for own, read in ((served.cells, found.cells), (served.draws, found.draws)):
        assert list(own) == list(read)
        assert all(np.array_equal(own[key], read[key], equal_nan=True) for key in own)
    np.testing.assert_array_equal(found.random, served.random)
    np.testing.assert_allclose(served.random, 0.1)  # of recall in the first tenth
    assert found.hypervolume == served.hypervolume
    assert load(tmp_path, digest_of(candidates, made.rows, outcomes, Current("good", EQUAL), 2)) is None
    other = [replace(candidates[0], predictions=made.candidate("other").predictions), candidates[1]]  # trained again
    assert load(tmp_path, digest_of(other, made.rows, outcomes, Current("good", EQUAL), 1)) is None
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


def test_bad_input_is_named(world, outcomes):
    made = world(600)
    a = made.candidate("a")
    with pytest.raises(UserError, match="current point"):
        front_of(made, [a], outcomes, "b")
    alone = world(600, 1)
    with pytest.raises(UserError, match="a served front weighs 2 to 8 tasks, found 1; `seesaw pick` compares"):
        front_of(alone, [alone.candidate("a")], outcomes[:1])
    short = replace(a, predictions=lambda split, at: np.zeros((3, 2), "f4"))
    with pytest.raises(UserError, match="expected 600 rows of 2 tasks"):
        front_of(made, [short], outcomes)
    nobody = {split: replace(rows, labels=np.zeros_like(rows.labels)) for split, rows in made.rows.items()}
    with pytest.raises(UserError, match="not defined on confirm"):
        served_front([a], nobody, outcomes, Current("a", EQUAL), 0)
