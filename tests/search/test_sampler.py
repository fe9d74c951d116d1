"""The sampler for Optuna studies: Optuna's own conformance tests, and what it says of conditional spaces."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import TrialState
from threadpoolctl import threadpool_info, threadpool_limits

from bench.errors import UserError
from bench.search.gp import GaussianSampler
from bench.search.nodes import Choice, Float, Int
from bench.search.sampler import ConditionalGPSampler, LearntShape
from bench.search.samplers import quiet


class TestConformance(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Optuna's, as they are."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ConditionalGPSampler(seed=0)


def nested(trial: optuna.Trial) -> tuple[float, float]:
    """Two objectives; layers exist from n layers on, momentum under one optimizer."""
    loss = 0.0
    for layer in range(trial.suggest_int("layers", 1, 3)):
        loss += (trial.suggest_int(f"units{layer}", 1, 64, log=True) - 20) ** 2 / 4000
    if trial.suggest_categorical("optimizer", [None, "sgd", "adam"]) == "sgd":
        loss += (trial.suggest_float("momentum", 0, 1, step=0.1) - 0.9) ** 2
    else:
        loss += 0.1
    lean = trial.suggest_float("lean", -1, 1)
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    loss += (np.log10(rate) + 3) ** 2 / 10
    return float(1 - loss - (lean - 0.3) ** 2), float(loss + (lean + 0.3) ** 2)


def study_of(sampler: BaseSampler, trials: int = 0, **options: object) -> optuna.Study:
    with quiet():
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler, **options)  # type: ignore[arg-type]
        study.optimize(nested, n_trials=trials)
    return study


def test_every_proposal_is_whole_once_the_space_is_known() -> None:
    """No parameter is left to chance, and none is proposed that the trial does not have."""
    study = study_of(ConditionalGPSampler(seed=1), 25)
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, nested(trial))
        assert trial._relative_params is not None
        fixed = {name for name in trial.params if trial.params[name] == trial._relative_params.get(name)}
        assert fixed == set(trial.params) == set(trial._relative_params)


@pytest.mark.slow
def test_learns_on_a_conditional_space_with_two_directions() -> None:
    def reached(sampler: BaseSampler) -> float:
        study = study_of(sampler, 40)
        return max(first - second for first, second in (trial.values for trial in study.trials))

    ours = [reached(ConditionalGPSampler(seed=seed)) for seed in range(5)]
    random = [reached(RandomSampler(seed=seed)) for seed in range(5)]
    assert sum(a > b for a, b in zip(ours, random, strict=True)) >= 4


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_one_objective_goes_in_its_direction(direction: str) -> None:
    sign = 1 if direction == "minimize" else -1
    with quiet():
        study = optuna.create_study(direction=direction, sampler=ConditionalGPSampler(seed=2))
        study.optimize(lambda trial: sign * (trial.suggest_float("x", -5, 5) - 2) ** 2, n_trials=25)
    assert abs(study.best_value) < 0.01


def test_one_seed_gives_one_study_and_no_other() -> None:
    def params(seed: int) -> list[dict[str, object]]:
        return [trial.params for trial in study_of(ConditionalGPSampler(seed=seed), 14).trials]

    assert params(3) == params(3)
    assert params(3) != params(4)


@pytest.mark.parametrize("error", [ValueError, optuna.TrialPruned])
def test_a_region_where_trials_fail_is_left(error: type[Exception]) -> None:
    """Values rise towards it, so that a search which learns nothing from failures stays there."""

    def objective(trial: optuna.Trial) -> float:
        kind, x = trial.suggest_categorical("kind", ["a", "b"]), trial.suggest_float("x", 0, 1)
        if kind == "a" and x > 0.5:
            raise error
        return x - (0.3 if kind == "b" else 0.0)

    with quiet():
        study = optuna.create_study(direction="maximize", sampler=ConditionalGPSampler(seed=0))
        study.optimize(objective, n_trials=40, catch=(ValueError,))
    assert sum(trial.state == TrialState.COMPLETE for trial in study.trials[20:]) >= 12
    assert study.best_value == pytest.approx(0.7, abs=0.01)


def test_a_range_that_was_narrowed_is_searched() -> None:
    with quiet():
        study = optuna.create_study(direction="maximize", sampler=ConditionalGPSampler(seed=0))
        for high, trials in ((10, 15), (1, 8)):
            study.optimize(lambda trial, high=high: trial.suggest_float("x", 0, high), n_trials=trials)
    assert np.median([trial.params["x"] for trial in study.trials[15:]]) > 0.9


def test_a_proposal_takes_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()

    def blas() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    def observed(self: GaussianSampler, *args: Any) -> list[dict[str, Any]]:
        seen.update(blas())
        return propose(self, *args)

    propose = GaussianSampler.propose_batch
    monkeypatch.setattr(GaussianSampler, "propose_batch", observed)
    with threadpool_limits(2, user_api="blas"):
        study_of(ConditionalGPSampler(seed=0), 2)
        assert (seen, blas()) == ({1}, {2})


def test_running_trials_repel() -> None:
    """Eight workers that ask at once get eight configurations."""
    study = study_of(ConditionalGPSampler(seed=0), 20)
    asked = []
    for _ in range(8):
        trial = study.ask()
        nested(trial)
        asked.append(trial.params)
    rates = sorted(np.log10(params["rate"]) for params in asked)
    assert len({tuple(sorted(map(repr, params.items()))) for params in asked}) == 8
    assert np.diff(rates).max() > 0.01


def test_no_configuration_is_proposed_twice_while_others_are_left() -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=ConditionalGPSampler(seed=1))
    study.optimize(lambda trial: ((z := trial.suggest_int("z", -20, 20)) ** 2, z), n_trials=30)
    seen = [trial.params["z"] for trial in study.trials]
    assert not any(z in seen[:number] for number, z in enumerate(seen) if number >= 10)


def test_what_is_enqueued_stays() -> None:
    study = study_of(ConditionalGPSampler(seed=0), 14)
    study.enqueue_trial({"layers": 3, "optimizer": "sgd"})
    trial = study.ask()
    nested(trial)
    assert (trial.params["layers"], trial.params["optimizer"]) == (3, "sgd")
    assert trial._relative_params is not None
    assert {"units2", "momentum"} <= set(trial._relative_params)


def test_a_reference_of_another_length_is_refused() -> None:
    study = study_of(ConditionalGPSampler(seed=0), 3)
    study.sampler = ConditionalGPSampler(seed=0, reference=[0.0])
    trial = study.ask()
    with pytest.raises(UserError, match="expected a value for each of 2 objectives, found 1"):
        nested(trial)


@pytest.mark.parametrize("reference", [[float("nan"), 1.0], [float("inf"), 1.0], "ab"])
def test_a_reference_that_is_no_number_is_refused(reference: Any) -> None:
    with pytest.raises(UserError, match="expected a finite number for each objective, found"):
        ConditionalGPSampler(seed=0, reference=reference)


def test_constraints_are_not_ignored_silently() -> None:
    def limited(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.set_constraint("small", x - 0.5)
        return x

    with quiet():
        study = optuna.create_study(sampler=ConditionalGPSampler(seed=0))
        study.optimize(limited, n_trials=1)
        with pytest.warns(UserWarning, match="ignores the constraints"):
            study.optimize(limited, n_trials=1)


def test_the_reference_is_worse_than_the_front_and_than_half_of_the_trials() -> None:
    from bench.objectives import Objective

    objectives = (Objective("a", "maximize"), Objective("b", "minimize"))
    values = np.array([[1.0, 1.0], [3.0, 3.0], [0.0, 9.0], [0.5, 8.0], [np.inf, 0.0]])
    worst = ConditionalGPSampler()._worst(values, objectives)
    # Of the front (1, 1), (3, 3): a is 0.8 at most, half have 0.75 or less; b is 3.2 at least, half have 5.5 or more.
    assert worst == pytest.approx([0.75, 5.5])
    assert ConditionalGPSampler(reference=[1, 2])._worst(values, objectives) == [1.0, 2.0]


def test_a_range_that_changes_is_spanned() -> None:
    study = optuna.create_study()
    for distributions in (
        {"x": IntDistribution(0, 4, step=2), "y": FloatDistribution(0, 1)},
        {"x": IntDistribution(3, 9), "y": FloatDistribution(-1, 0.5), "z": CategoricalDistribution(["a", "b"])},
    ):
        study.tell(study.ask(distributions), 0.0)
    trial = study.ask()
    space = ConditionalGPSampler().infer_relative_search_space(study, study.trials[trial.number])
    assert space == {
        "x": IntDistribution(0, 9),
        "y": FloatDistribution(-1, 1),
        "z": CategoricalDistribution(["a", "b"]),
    }


def test_conditions_are_learnt_from_what_was_seen() -> None:
    """Nested branches, a shared parameter, and one that exists from a number on."""
    leaves = {
        "kind": Choice(options=(0, 1, 2), default=0),
        "shared": Float(low=0, high=1, default=0),
        "inner": Choice(options=(0, 1), default=0),
        "deep": Float(low=0, high=1, default=0),
        "layers": Int(low=1, high=4, default=1),
        "third": Float(low=0, high=1, default=0),
    }

    def there(config: dict[str, object]) -> set[str]:
        names = {"kind", "layers"}
        names |= {"shared"} if config["kind"] in (0, 2) else set()
        names |= {"inner"} if config["kind"] == 2 else set()
        names |= {"deep"} if config.get("inner") == 1 and config["kind"] == 2 else set()
        return names | ({"third"} if config["layers"] >= 3 else set())  # type: ignore[operator]

    rng = np.random.default_rng(0)
    seen = []
    for _ in range(60):
        config = {name: leaf.draw(rng) for name, leaf in leaves.items()}
        seen.append({name: config[name] for name in leaves if name in there(config)})
    shape = LearntShape(leaves, seen)
    for row in shape.vary(shape.draw(200, rng), 0.3, rng):
        config = shape.config(row)
        assert set(config) == there(config)


def test_the_documents_example_runs() -> None:
    text = (Path(__file__).parents[2] / "docs/sampler.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, Any] = {}
    with quiet():
        exec(compile(block, "docs/sampler.md", "exec"), names)  # our own document: what it shows must work
    assert len(names["study"].trials) == 30
    assert len(names["study"].best_trials) > 3
