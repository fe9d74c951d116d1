from __future__ import annotations

import moocore
import numpy as np
import pytest
from scipy import integrate, stats
from search_toys import OBJECTIVES, TASKS, objectives, printed_under_other_hashes, toy_space

from bench.records import Scalar
from bench.search.parzen import KEPT, WIDTH, ParzenSampler, _Density
from bench.search.ranking import best_first
from bench.seeds import derive

SAMPLER = ParzenSampler(toy_space(), TASKS)
NAMES = SAMPLER.encoding.column


def sequence(seed: int, trials: int, learn: bool = True) -> list[tuple[float, float]]:
    """Objectives of a search, one trial after the other."""
    configs: list[dict[str, Scalar]] = []
    values: list[tuple[float, float]] = []
    for number in range(trials):
        order = best_first(np.array(values).reshape(-1, 2), OBJECTIVES, {"click.auc": 0.0, "like.auc": 0.0})
        ranked = [configs[i] for i in order] if learn else []
        configs.append(SAMPLER.propose(ranked, derive(seed, number)))
        values.append(objectives(configs[-1]))
    return values


def hypervolume(values: list[tuple[float, float]]) -> float:
    return float(moocore.hypervolume(np.array(values), ref=[0.0, 0.0], maximise=True))


@pytest.mark.slow
def test_learns_on_a_conditional_space() -> None:
    """Eight seeds, 50 trials: median hypervolume, and most seeds one by one."""
    learnt = np.array([hypervolume(sequence(seed, 50)) for seed in range(8)])
    random = np.array([hypervolume(sequence(seed, 50, learn=False)) for seed in range(8)])
    assert np.median(learnt) > np.median(random)
    assert (learnt > random).sum() >= 7


def test_a_shared_parameter_learns_from_other_branches() -> None:
    """Of one kind nothing is known; learning rates of the others tell where to look."""
    space = toy_space()
    configs = [space.sample(np.random.default_rng(seed), TASKS) for seed in range(400)]
    others = [config for config in configs if config["sharing.kind"] != "ple"][:100]
    ranked = sorted(others, key=lambda config: abs(np.log10(config["optim.lr"]) + 2))
    found = [np.log10(SAMPLER.propose(ranked, seed, {"sharing.kind": "ple"})["optim.lr"]) for seed in range(30)]
    assert abs(np.median(found) + 2) < 0.25
    assert np.mean(np.abs(np.array(found) + 2) < 0.5) > 0.8  # a quarter, were they drawn at random


def test_a_proposal_is_a_configuration_of_the_space() -> None:
    space = toy_space()
    ranked = [space.sample(np.random.default_rng(seed), TASKS) for seed in range(40)]
    for seed in range(40):
        proposal = SAMPLER.propose(ranked, seed)
        branch = {name for name in proposal if name.startswith("sharing.")} - {"sharing.kind"}
        assert all(name.startswith(f"sharing.{proposal['sharing.kind']}.") for name in branch)
        row = SAMPLER.encoding.rows([proposal])[0]
        assert len(proposal) == (~np.isnan(row)).sum()


@pytest.mark.parametrize("known", [0, 3, 50])
def test_what_is_pinned_stays(known: int) -> None:
    ranked = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(known)]
    for seed in range(10):
        proposal = SAMPLER.propose(ranked, seed, {"sharing.kind": "mmoe", "optim.lr": 0.01})
        assert proposal["sharing.kind"] == "mmoe"
        assert proposal["optim.lr"] == 0.01
        assert "sharing.mmoe.experts" in proposal


def test_the_density_is_one_against_the_uniform_one() -> None:
    """By numerical integration over a number, and by counting over options; and as scipy's truncated normal has it."""
    space = toy_space()
    configs = [space.sample(np.random.default_rng(seed), TASKS) for seed in range(12)]
    density = _Density(SAMPLER.encoding.rows(configs), SAMPLER.encoding.options)

    def at(name: str, number: float) -> float:
        row = np.full((1, len(NAMES)), np.nan)
        row[0, NAMES[name]] = number
        return float(np.exp(density.log(row)[0]))

    assert integrate.quad(lambda x: at("optim.lr", x), 0, 1)[0] == pytest.approx(1, abs=1e-6)
    assert sum(at("tower.layers", option) for option in range(3)) / 3 == pytest.approx(1)
    centres = SAMPLER.encoding.rows(configs)[:, NAMES["optim.lr"]]
    width = WIDTH * 12**-0.1
    kernels = [stats.truncnorm.pdf(0.3, -c / width, (1 - c) / width, loc=c, scale=width) for c in centres]
    assert at("optim.lr", 0.3) == pytest.approx((1 + sum(kernels)) / 13)
    options = [config["tower.layers"] for config in configs]
    share = (1 / 3 + sum((1 - KEPT) / 3 + KEPT * (option == "32") for option in options)) / 13
    assert at("tower.layers", 1) == pytest.approx(3 * share)


def test_draws_follow_the_density() -> None:
    rows = np.full((3, len(NAMES)), np.nan)
    rows[:, NAMES["optim.lr"]] = [0.0, 0.3, 0.35]
    density, rng = _Density(rows, SAMPLER.encoding.options), np.random.default_rng(0)
    column = NAMES["optim.lr"]
    drawn = [density.draw(column, rng) for _ in range(4000)]
    numbers = np.array([rng.random() if number is None else number for number in drawn])

    def below(x: float) -> float:
        row = np.full((1, len(NAMES)), np.nan)

        def pdf(y: float) -> float:
            row[0, column] = y
            return float(np.exp(density.log(row)[0]))

        return integrate.quad(pdf, 0, x)[0]

    for x in (0.1, 0.3, 0.5, 0.8):
        assert np.mean(numbers < x) == pytest.approx(below(x), abs=0.03)


@pytest.mark.slow
def test_a_proposal_depends_on_its_arguments_alone() -> None:
    code = "from test_parzen import *; print(sequence(5, 30))"
    assert printed_under_other_hashes(code) == [str(sequence(5, 30))] * 2
    assert sequence(5, 12) != sequence(6, 12)
