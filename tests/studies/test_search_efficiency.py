"""The harness itself, on a problem whose learning curves are known in closed form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from analytic import OBJECTIVES, REFERENCE, TASKS, Analytic, curve, space
from blackbox_table import append, read_lines, table, write
from emulator import Emulator
from learn_portfolio import Known, learn
from replay import Table, named, read_tables
from scipy import stats
from search_efficiency import STEPS, compare, curves_of, grid_of, report
from searchers import DEFAULTS, OURS, SEARCHERS, TARGET, Trace

from bench.core.records import Scalar
from bench.results.pareto import hypervolume

FRACTIONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def lines(configurations: int, seeds: int = 2) -> list[dict[str, object]]:
    """As if the analytic problem had been trained; configuration 3 fails after its second rung."""
    found: list[dict[str, object]] = []
    for number in range(configurations):
        config = space().sample(np.random.default_rng(number), TASKS)
        for seed in range(seeds):
            rungs = [
                {
                    "fraction": fraction,
                    "samples": 1000 * fraction,
                    "seconds": fraction,
                    "metrics": {f"valid/{o.name}": v for o, v in zip(OBJECTIVES, values, strict=True)},
                    "samples_per_s": 1000.0,
                    "parameters": 7.0,
                }
                for fraction, values in zip(FRACTIONS, curve(config, FRACTIONS, seed).tolist(), strict=True)
            ]
            failure = "the loss became nan" if number == 3 else None
            head = {"dataset": "toy", "configuration": number, "seed": seed, "config": config}
            found.append(head | {"rungs": rungs[:2] if failure else rungs, "failure": failure})
    return found


def test_a_table_comes_back_from_its_file(tmp_path: Path) -> None:
    written = lines(12)
    for line in written:
        append(tmp_path / "toy.jsonl", line)
    write(table(read_lines(tmp_path / "toy.jsonl")), tmp_path / "table.parquet")
    tables = read_tables(tmp_path / "table.parquet", "toy", space(), TASKS, OBJECTIVES, REFERENCE)
    assert len(tables) == 2
    places = {"balancing.static.weight.second": "balancing.static.weight.2"}
    for seed, of in enumerate(tables):
        assert of.fractions == FRACTIONS
        for number, (config, known) in enumerate(zip(of.configs, of.curves, strict=True)):
            whole = space().sample(np.random.default_rng(number), TASKS)
            placed = {places.get(name, name): value for name, value in whole.items()}
            assert config == {name: value for name, value in placed.items() if name in config}
            assert named(config, TASKS) == {
                name: value for name, value in whole.items() if name in named(config, TASKS)
            }
            assert set(placed) - set(config) <= {"optim.epochs", "funnel.kind"}
            assert {type(value) for value in config.values()} <= {int, float, str}
            expected = curve(whole, FRACTIONS, seed)
            if number == 3:
                expected[2:] = np.nan
            np.testing.assert_allclose(known, expected, rtol=1e-6)
            both = np.mean([curve(whole, FRACTIONS, each) for each in (0, 1)], axis=0)
            if number != 3:
                np.testing.assert_allclose(of.worth[number], both, rtol=1e-6)


def test_half_a_line_is_cut_off_and_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    for line in lines(2, 1):
        append(path, line)
    whole = path.read_bytes()
    path.write_bytes(whole + json.dumps(lines(1, 1)[0]).encode()[:50])
    assert len(read_lines(path)) == 2
    assert path.read_bytes() == whole
    assert read_lines(tmp_path / "none.jsonl") == []


def test_a_stand_in_is_the_nearest_of_its_kind() -> None:
    pool = Analytic().table(60)
    proposal = space().sample(np.random.default_rng(9), TASKS)
    distances = pool.distances(proposal)
    assert ((distances >= 0) & (distances <= 1)).all()
    of_kind = [i for i, config in enumerate(pool.configs) if config["sharing.kind"] == proposal["sharing.kind"]]
    found = pool.fresh().train([proposal])
    assert found is not None
    assert found[1] == pool.configs[min(of_kind, key=lambda i: distances[i])]
    several = [space().sample(np.random.default_rng(seed), TASKS) for seed in range(5)]
    found = pool.fresh().train([*several, pool.configs[7]])
    assert found is not None
    assert found[:2] == (5, pool.configs[7])


@pytest.mark.slow
def test_an_emulator_knows_the_order_of_configurations() -> None:
    problem = Analytic()
    emulator = Emulator(problem.table(100))
    quality = emulator.quality()
    configs = [space().sample(np.random.default_rng(seed), TASKS) for seed in range(100)]
    found = emulator.curves(configs)
    np.testing.assert_allclose(emulator.train(configs[:1]).curve, found[0])
    truth = np.array([problem.train([config]).worth for config in configs])
    for m in range(2):
        achieved = stats.spearmanr(found[:, -1, m], truth[:, -1, m]).statistic
        assert achieved > 0.5
        assert quality[m] == pytest.approx(achieved, abs=0.2)  # what cross-validation says holds of others
    assert 0 < emulator.best[0] < 0.15**2


def test_distance_by_hand() -> None:
    pool = Analytic().table(1)
    one = {"sharing.kind": "shared_embeddings", "tower.dropout": 0.0, "optim.lr": 3e-4, "embedding.dim": 8}
    two = {
        "sharing.kind": "mmoe",
        "tower.dropout": 0.1,
        "embedding.dim": 8,
        "sharing.mmoe.experts": 4,
        "optim.lr": 1e-2,
    }
    found = Table(space(), TASKS, OBJECTIVES, REFERENCE, FRACTIONS, [two], pool.curves, pool.worth).distances(one)
    assert found == pytest.approx([(1 + 0.25 + 0 + 1 + 1) / 5])  # kind, dropout, dim, experts, learning rate


def test_hypervolume_grows_when_a_checkpoint_comes_into_being() -> None:
    problem = Analytic()
    values = np.array([[0.9, 0.9], [0.95, 0.88]])
    found = curves_of(Trace(np.array([1.0, 3.0]), values - 0.01, values), problem, np.array([0.5, 1.0, 2.9, 3.0, 4.0]))
    one, both = (hypervolume(values[:n], OBJECTIVES, REFERENCE) for n in (1, 2))
    np.testing.assert_allclose(found, [0, one, one, both, both])


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("problem", [Analytic(), Analytic().table(25)], ids=["function", "table"])
def test_searchers_keep_to_their_budget_and_repeat(name: str, problem: Analytic | Table) -> None:
    times, values, judged = SEARCHERS[name](problem.fresh(), 3, 1.2)
    again = SEARCHERS[name](problem.fresh(), 3, 1.2)
    np.testing.assert_array_equal(times, again[0])
    np.testing.assert_array_equal(values, again[1])
    np.testing.assert_array_equal(judged, again[2])
    assert (np.diff(times) > 0).all()
    assert times[-1] <= 1.7  # the last job may end later than the budget
    assert np.isfinite(values).all()
    other = SEARCHERS[name](problem.fresh(), 4, 1.2)
    assert other[1].shape != values.shape or (other[1] != values).any()


def test_a_failed_configuration_costs_what_it_trained() -> None:
    pool = Analytic().table(12)
    pool.curves[:, 2:] = np.nan
    for name, searcher in SEARCHERS.items():
        times, _, _ = searcher(pool.fresh(), 0, 1.5)
        assert len(times) > 0, name
        assert times.max() < 1.6


class Exact:
    """In place of an emulator: the analytic problem itself."""

    space, tasks, objectives, reference = space(), TASKS, OBJECTIVES, REFERENCE

    def curves(self, configs: Sequence[Mapping[str, Scalar]]) -> np.ndarray:
        """Of configurations, which must be whole."""
        return np.array([curve(each, FRACTIONS, noise=0.0) for each in configs])


def test_what_is_learnt_is_better_than_what_comes_first() -> None:
    candidates = [space().sample(np.random.default_rng(number), ("1", "2")) for number in range(60)]
    known = Known(Exact(), candidates)  # type: ignore[arg-type]
    chosen = learn([known], candidates, 2, size=5)
    assert len(set(chosen)) == 5
    assert any(candidates[i]["sharing.kind"] == "single_task" for i in chosen)
    missing = [known.missing(chosen[:n]) for n in range(1, 6)]
    assert missing[-1] == min(missing)
    assert 0 <= missing[-1] < 0.7 * known.missing(range(5))
    assert learn([known], candidates, 2, size=5) == chosen


@pytest.mark.slow
def test_rungs_take_a_fraction_of_the_samples() -> None:
    """The harness must show this on a problem where rungs are known to help."""
    curves = compare([Analytic(0), Analytic(1)], 3, 8.0, [TARGET, DEFAULTS, OURS], workers=1)
    assert curves[OURS].shape == (3, STEPS)
    assert (np.diff(curves[OURS], axis=1) >= 0).all()
    grid, at = grid_of(8.0), int(0.6 * STEPS)
    assert curves[DEFAULTS][:, at].mean() > curves[TARGET][:, -1].mean()
    assert report("log", curves, grid, np.random.default_rng(0))[-3].startswith(f"| log | {OURS} | ")
