"""Our Gaussian process as a sampler for any Optuna study: conditional spaces, one or several objectives."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import ThreadpoolController

from bench.errors import UserError
from bench.objectives import Objective
from bench.records import Scalar
from bench.results.pareto import nondominated
from bench.search.gaussian import Shape
from bench.search.gp import GaussianSampler
from bench.search.nodes import Choice, Float, Floats, Int
from bench.search.space import Space
from bench.seeds import derive

ABSENT = -1.0
_ALONE = Lock()
"""Held while BLAS has one thread: that is a setting of the whole process, which several threads may share."""


class LearntShape(Shape):
    """The shape of a space that is not declared, learnt from configurations seen.

    A parameter that only some configurations have depends on options and whole numbers chosen before it. A
    classification tree (Breiman et al., 1984) finds on which. It finds nested conditions, a layer that exists from n
    layers on, and a parameter that several branches share. It does not look for conditions on other numbers.

    Args:
        leaves: every parameter by name, in an order in which it can be chosen.
        seen: configurations.
    """

    def __init__(self, leaves: Mapping[str, Int | Float | Choice], seen: Sequence[Mapping[str, Scalar]]) -> None:
        super().__init__(Space("learnt", "trials", dict(leaves)), ())
        rows = self.encoding.rows(seen)
        discrete = [not isinstance(leaf, Float) for leaf in leaves.values()]
        self._conditions: list[tuple[NDArray[np.int64], DecisionTreeClassifier] | None] = []
        for column in range(len(leaves)):
            there = ~np.isnan(rows[:, column])
            earlier = np.flatnonzero(discrete[:column])
            if there.all() or not there.any() or not len(earlier):
                self._conditions.append(None)
                continue
            tree = DecisionTreeClassifier(random_state=0).fit(self._features(rows, earlier), there)
            self._conditions.append((earlier, tree))

    def config(self, row: Floats, pinned: Mapping[str, Scalar] | None = None) -> dict[str, Scalar]:
        """The parameters that a row stands for."""
        given = pinned or {}
        return {
            name: given[name] if name in given else self.encoding.nodes[name].decode(number)
            for name, number in zip(self.encoding.names, row.tolist(), strict=True)
            if number == number  # not NaN
        }

    def _there(self, column: int, rows: Floats) -> NDArray[np.bool_]:
        condition = self._conditions[column]
        if condition is None:
            return np.ones(len(rows), dtype=bool)
        earlier, tree = condition
        return np.asarray(tree.predict(self._features(rows, earlier)))

    def _features(self, rows: Floats, columns: NDArray[np.int64]) -> Floats:
        """A number's column, or one for each option of a choice: options have no order."""
        found = []
        for column in columns:
            options, numbers = self.encoding.options[column], rows[:, column, None]
            found.append(numbers == np.arange(options) if options else np.nan_to_num(numbers, nan=ABSENT))
        return np.concatenate(found, axis=1, dtype=np.float64)


MARGIN = 0.1
"""Of the front's range, by what the reference is worse than the front."""


class ConditionalGPSampler(BaseSampler):
    """Proposes the configuration with the largest expected hypervolume improvement, in define-by-run spaces.

    Which parameters exist under which choices is learnt from the study's trials (`LearntShape`). A parameter that no
    trial had before is drawn at random, and so is all of the first trials (`gp.STARTUP`). Running trials repel, so that
    parallel workers spread out. Failed and pruned trials are modelled as poor ones (`gp.DOUBT`). Intermediate values
    are ignored, and so are constraints, with a warning. An enqueued trial's given parameters are kept.

    All that is drawn depends on the seed, the number of the trial, and the trials before it. So there is no random
    state to reseed or to keep: samplers of one seed in several processes agree, and still draw different trials.

    Args:
        seed: of all proposals; at random where there is none.
        reference: of the hypervolume, a value for each objective that is worse than all that matters. The default
            is the worse, objective by objective, of two values: the trials' median, and a tenth of the front's range
            below the front.

    Raises:
        UserError: a value of the reference is no finite number.
    """

    def __init__(self, seed: int | None = None, reference: Sequence[float] | None = None) -> None:
        given = [] if reference is None else list(reference)
        if not all(isinstance(value, Real) and math.isfinite(value) for value in given):
            raise UserError(f"reference: expected a finite number for each objective, found {given}")
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._reference = reference

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter that a trial had, with all that its distributions span."""
        found: dict[str, BaseDistribution] = {}
        names: list[str] = []
        for other in _trials(study, trial):
            place = 0
            for name, distribution in other.distributions.items():
                if name not in found:  # right after what was chosen before it: conditions come before branches
                    names.insert(place, name)
                found[name] = _spanning(found.get(name, distribution), distribution)
                place = names.index(name) + 1
        return {name: found[name] for name in names if not found[name].single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """One value for each parameter that the proposal has.

        Raises:
            UserError: the reference has another number of objectives than the study.
        """
        if not search_space:
            return {}
        if any(other.constraints for other in _trials(study, trial)):
            warnings.warn("ConditionalGPSampler ignores the constraints of this study's trials", stacklevel=2)
        fixed = trial.system_attrs.get("fixed_params", {})
        return self._proposal(study, trial, search_space, fixed, derive(self._seed, "proposal", trial.number))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value of a parameter that the proposal lacks, or has outside of this trial's range.

        It is proposed given the parameters that the trial has by now; at random, if no trial had it before.
        """
        seed = derive(self._seed, "independent", trial.number, param_name)
        space = self.infer_relative_search_space(study, trial)
        if param_name in space:
            check_distribution_compatibility(space[param_name], param_distribution)
            space[param_name] = param_distribution
            found = self._proposal(study, trial, space, trial.params, seed)
            if param_name in found:
                return found[param_name]
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)

    def _proposal(
        self,
        study: Study,
        trial: FrozenTrial,
        space: Mapping[str, BaseDistribution],
        given: Mapping[str, Any],
        seed: int,
    ) -> dict[str, Any]:
        """One value for each parameter that the best candidate has; those of `given` are kept."""
        trials = _trials(study, trial)
        configs = [_encoded(other.params, space) for other in trials]
        shape = LearntShape({name: _leaf(of) for name, of in space.items()}, configs)
        objectives = tuple(
            Objective(f"value {number}", "maximize" if direction == StudyDirection.MAXIMIZE else "minimize")
            for number, direction in enumerate(study.directions)
        )
        ended = [n for n, other in enumerate(trials) if other.state.is_finished()]
        running = [n for n, other in enumerate(trials) if other.state == TrialState.RUNNING]
        told = [tuple(trials[n].values) if trials[n].state == TrialState.COMPLETE else None for n in ended]
        values = np.array([each for each in told if each is not None]).reshape(-1, len(objectives))
        reference = dict(zip((o.name for o in objectives), self._worst(values, objectives), strict=True))
        process = GaussianSampler(shape, objectives, reference, (1,))
        results = [None if each is None else (each,) for each in told]
        pinned = _encoded(given, space)
        with _ALONE, ThreadpoolController().limit(limits=1, user_api="blas"):  # matrices are small
            (found,) = process.propose_batch(results, [configs[n] for n in (*ended, *running)], seed, [pinned])
        return {name: _decoded(space[name], value) for name, value in found.items()}

    def _worst(self, values: Floats, objectives: tuple[Objective, ...]) -> list[float]:
        """The reference, in the objectives' own units."""
        if self._reference is not None:
            if len(self._reference) != len(objectives):
                raise UserError(
                    f"reference: expected a value for each of {len(objectives)} objectives, "
                    f"found {len(self._reference)} values"
                )
            return list(map(float, self._reference))
        values = values[np.isfinite(values).all(axis=1)]
        if not len(values):
            return [0.0] * len(objectives)
        signs = np.array([objective.sign for objective in objectives])
        up, front = values * signs, values[nondominated(values, objectives)] * signs
        beyond = front.min(axis=0) - MARGIN * (front.max(axis=0) - front.min(axis=0))
        worst: list[float] = (np.minimum(np.median(up, axis=0), beyond) * signs).tolist()
        return worst


def _trials(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """All others that have a parameter. Trials of a later number do not count: they began after this one."""
    others = study.get_trials(deepcopy=False)
    return [other for other in others if other.number < trial.number and other.params]


def _spanning(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """The least distribution that has all values of both; a range that changes from trial to trial loses its step."""
    if one == other or isinstance(one, CategoricalDistribution):
        return one
    assert isinstance(one, IntDistribution | FloatDistribution)
    assert isinstance(other, type(one))
    low, high = min(one.low, other.low), max(one.high, other.high)
    if isinstance(one, IntDistribution):
        return IntDistribution(int(low), int(high), log=one.log)
    return FloatDistribution(low, high, log=one.log)


def _leaf(distribution: BaseDistribution) -> Int | Float | Choice:
    """The parameter as our encoding knows it: options and steps of a float by their number."""
    match distribution:
        case CategoricalDistribution():
            return Choice(options=tuple(range(len(distribution.choices))), default=0)
        case IntDistribution():
            of = distribution
            return Int(low=of.low, high=of.high, default=of.low, log=of.log, step=of.step)
        case FloatDistribution(step=None):
            return Float(low=distribution.low, high=distribution.high, default=distribution.low, log=distribution.log)
        case FloatDistribution():
            return Int(low=0, high=_steps(distribution, distribution.high), default=0)
    raise UserError(f"expected a distribution of numbers or options, found {distribution!r}")


def _encoded(params: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, value in params.items():
        of = space.get(name)
        if isinstance(of, CategoricalDistribution):
            found[name] = int(of.to_internal_repr(value))
        elif isinstance(of, FloatDistribution) and of.step is not None:
            found[name] = _steps(of, value)
        elif of is not None:
            found[name] = value
    return found


def _decoded(of: BaseDistribution, value: Scalar) -> Any:
    if isinstance(of, CategoricalDistribution):
        return of.choices[int(str(value))]
    if isinstance(of, FloatDistribution) and of.step is not None:
        return min(of.high, of.low + of.step * int(str(value)))
    return value


def _steps(of: FloatDistribution, value: float) -> int:
    assert of.step is not None
    return round((value - of.low) / of.step)
