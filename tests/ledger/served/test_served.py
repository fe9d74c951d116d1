"""The served front of candidates whose relation is known, and the settings of its sweep."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bench.core.objectives import Objective
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.ledger.effect import Effect
from bench.ledger.fusion import Fusion
from bench.ledger.served import turned as module
from bench.ledger.served.climb import Goal, first_starts, second_starts
from bench.ledger.served.front_files import digest_of, load, save, to_json
from bench.ledger.served.measuring import CurrentRanking, Meter, measure_of
from bench.ledger.served.served import ideal_of, served_front
from bench.ledger.served.sweep import Sweep, swept
from bench.ledger.served.turned import few, turned


def test_it_is_refined_where_the_front_has_a_gap_and_never_without_end():
    sweep = Sweep(2, ["power"])

    def outcomes():  # a jump between weights of .45 and .6, flat elsewhere
        a = np.array([setting.weights[1] for setting in sweep.settings])
        step = 1 / (1 + np.exp(-40 * (a - 0.52)))
        return np.stack([1 - step, step], axis=-1)[None]

    for _ in range(10):
        values = outcomes()
        if not (new := sweep.refine(values, np.ones(values.shape[:2], dtype=bool))):
            break
        assert all(0.3 < setting.weights[1] < 0.7 for setting in new)
    assert len(sweep.settings) <= 40


def test_each_split_stands_under_the_others_name_and_nothing_else_moves(world):
    toy = world(300)
    candidates = [toy.candidate("a")]
    swapped, moved = turned(candidates, toy.rows)
    for split, source in ((SEARCH, SEARCH), (CONFIRM, TEST), (TEST, CONFIRM)):
        assert moved[split] is toy.rows[source]
        assert np.array_equal(
            swapped[0].predictions(split, 1), candidates[0].predictions(source, 1)
        )
    restored, _ = turned(swapped, moved)
    assert np.array_equal(restored[0].predictions(TEST, 0), candidates[0].predictions(TEST, 0))


@pytest.mark.parametrize(("extra", "expected"), [(0, False), (1, True)])
def test_rows_are_few_by_the_rarest_task(world, monkeypatch, extra, expected):
    rows = world(300).rows
    monkeypatch.setattr(
        module, "FEW_POSITIVES", int((rows[TEST].labels > 0).sum(axis=0).min()) + extra
    )
    assert few(rows) is expected


EQUAL = Fusion.of("power", (1, 1))


@pytest.fixture
def tried(world, outcomes):
    """The sweep of a candidate and of a score that is not fused."""
    toy = world(300)
    score = toy.candidate("today", "current", seeds=())
    fused = score.predictions
    score = replace(score, predictions=lambda split, run: fused(split, run)[:, :1])
    names = [objective.name for objective in outcomes]
    meter = Meter([toy.candidate("a"), score], toy.rows[CONFIRM], CONFIRM, names, 0)
    return swept(meter, toy.rows[CONFIRM].rates, outcomes, EQUAL)


def test_a_place_is_the_first_setting_that_ranks_alike(tried):
    last = tried.settings[-1]
    assert tried.place(0, EQUAL) == (0, 0)
    assert tried.place(0, last).setting > 0
    assert tried.place(1, last) == (1, 0)  # a score ranks alike under all of them


def test_climbs_begin_at_the_best_of_each_kind_then_at_the_best_of_all_and_never_with_a_score(
    tried,
):
    """For the first goal alone the second time."""
    aims = [
        SimpleNamespace(
            score=lambda values, base, column=column: values[..., column],
            floors=lambda base, chance: 0 * base,
        )
        for column in (0, 1)
    ]
    goals = [Goal(aim, np.ones(2), np.zeros(2)) for aim in aims]
    starts, of_score = first_starts(tried, goals)
    assert of_score == second_starts(tried, goals)[1] == []
    for number, start in enumerate(starts):
        worth = dict(zip(tried.settings, tried.means[0][:, number], strict=True))
        assert [setting.kind for setting in start.settings] == ["power", "sum"]
        for setting in start.settings:
            assert worth[setting] == max(
                worth[candidate] for candidate in worth if candidate.kind == setting.kind
            )
    ((again,), _) = second_starts(tried, goals)
    worth = dict(zip(tried.settings, tried.means[0][:, 0], strict=True))
    assert again.goal is goals[0]
    assert worth[again.settings[0]] == max(worth.values())


def test_the_ideal_ranks_each_task_by_its_own_labels_and_is_unknown_of_items(world, outcomes):
    rows = world(300).rows[TEST]
    rows = replace(rows, items={"topic": np.arange(300) % 7.0})
    wanted = (outcomes[1], Objective("topic.distinct@5", "maximize"), outcomes[0])
    measure = measure_of(rows, [objective.name for objective in wanted], None)
    like, topic, click = ideal_of(measure, rows, wanted)
    positives = dict(zip(rows.tasks, (rows.labels > 0).sum(axis=0), strict=True))
    assert like == pytest.approx(min(1.0, 30 / positives["like"]))
    assert click == pytest.approx(min(1.0, 30 / positives["click"]))
    assert np.isnan(topic)


def front_of(world, candidates, outcomes, current=None, setting=EQUAL):
    ranking = CurrentRanking(current or candidates[0].id, setting)
    return served_front(candidates, world.rows, outcomes, ranking, seed=1, resamples=40, draws=400)


@pytest.fixture
def two(world, outcomes):
    """A good candidate and a dominated one, and their front."""
    toy = world(1200)
    candidates = [
        toy.candidate("good", noise=0.1),
        toy.candidate("trees", "baseline", noise=0.1, worse=1.5),
    ]
    return toy, candidates, front_of(toy, candidates, outcomes)


def test_values_that_choose_are_surer_with_more_rows_of_validation(world, outcomes):
    """A mean of both splits: with nine times as many rows there, the error is .53 of that of
    confirmation rows.
    """
    toy = world(600, valid=5400)
    candidates = [toy.candidate("a", seeds=()), toy.candidate("b", seeds=())]
    errors = [np.median(front_of(toy, candidates, outcomes).draws["confirm"].std(axis=0))]
    del toy.rows["valid"]
    errors.append(np.median(front_of(toy, candidates, outcomes).draws["confirm"].std(axis=0)))
    assert errors[0] / errors[1] == pytest.approx(0.53, abs=0.12)


def test_segments_are_measured_on_their_own_rows(world, outcomes):
    toy = world(1500, codes=True)
    served = front_of(toy, [toy.candidate("a", noise=0.1), toy.candidate("b", noise=0.1)], outcomes)
    for split in ("confirm", "test"):
        assert {*served.slices(split)} >= {"country=US", "country=FR"}
        for name in ("country=US", "country=FR"):
            assert all(
                effect == Effect(0, 0, 0)
                for effect in served.effects(served.current, split, name).values()
            )
            low, value, high, whole_low, whole_high = (
                served.at(split, part, slice)
                for part, slice in [
                    ("low", name),
                    ("value", name),
                    ("high", name),
                    ("low", "all"),
                    ("high", "all"),
                ]
            )
            assert (low <= value).all()
            assert (high - low).mean() > (whole_high - whole_low).mean()  # of fewer rows


def test_it_is_the_same_again_and_from_files(two, outcomes, tmp_path):
    toy, candidates, served = two
    again = front_of(toy, candidates, outcomes)
    assert all(np.array_equal(draws, again.draws[split]) for split, draws in served.draws.items())
    digest = digest_of(candidates, toy.rows, outcomes, CurrentRanking("good", EQUAL), 1)
    save(served, tmp_path, digest)
    loaded = load(tmp_path, digest)
    assert loaded.table.equals(served.table)
    for saved, read in ((served.cells, loaded.cells), (served.draws, loaded.draws)):
        assert list(saved) == list(read)
        assert all(np.array_equal(saved[key], read[key], equal_nan=True) for key in saved)
    np.testing.assert_array_equal(loaded.random, served.random)
    np.testing.assert_allclose(served.random, 0.1)  # of recall in the first tenth
    assert loaded.hypervolume == served.hypervolume
    assert (
        load(tmp_path, digest_of(candidates, toy.rows, outcomes, CurrentRanking("good", EQUAL), 2))
        is None
    )
    # trained again
    retrained = [
        replace(candidates[0], predictions=toy.candidate("other").predictions),
        candidates[1],
    ]
    assert (
        load(tmp_path, digest_of(retrained, toy.rows, outcomes, CurrentRanking("good", EQUAL), 1))
        is None
    )
    for file in tmp_path.iterdir():  # damaged: it is drawn anew
        whole = file.read_bytes()
        half = len(whole) // 2
        flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        for damaged in (b"", whole[:half], b"[1]", flipped):
            file.write_bytes(damaged)
            assert load(tmp_path, digest) is None
        file.write_bytes(whole)
    document = to_json(served)
    assert document["points"][0]["on_front"]
    assert document["current"]["trial"] == "good"
    assert set(document["points"][0]["outcomes"]) == {outcome.name for outcome in outcomes}
