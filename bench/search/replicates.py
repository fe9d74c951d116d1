"""Replicates as the trials of an Optuna study of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.objectives import Objective
from bench.records import Outcome, Replicate
from bench.search.attributes import attributes_of, failure_in, values_in


def as_trial(outcome: Outcome, objectives: tuple[Objective, ...]) -> FrozenTrial:
    """What is kept of a retraining."""
    attributes = attributes_of(outcome, objectives)
    values = values_in(attributes, objectives)
    attributes |= {"trial": outcome.job.trial, "replicate": outcome.job.replicate, "until": outcome.job.until}
    state = TrialState.FAIL if values is None else TrialState.COMPLETE
    return optuna.trial.create_trial(state=state, values=values, user_attrs=attributes)


def by_trial(kept: Iterable[FrozenTrial]) -> dict[int, tuple[Replicate, ...]]:
    """Replicates by the number of the trial that they repeat, in their own order."""
    found: defaultdict[int, list[Replicate]] = defaultdict(list)
    for each in kept:
        of = each.user_attrs
        found[of["trial"]].append(
            Replicate(of["replicate"], of["seed"], of["metrics"], failure_in(of), of.get("until"))
        )
    return {number: tuple(sorted(those, key=lambda one: one.replicate)) for number, those in found.items()}
