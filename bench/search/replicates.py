"""Replicates as the trials of an Optuna study of their own."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.objectives import Objective
from bench.records import BASELINES, Outcome, Replicate, Scalar, TrialRecord
from bench.search.attributes import attributes_of, failure_in, values_in
from bench.search.packing import unpacked


def as_trial(outcome: Outcome, objectives: tuple[Objective, ...]) -> FrozenTrial:
    """What is kept of a retraining."""
    attributes = attributes_of(outcome, objectives)
    values = values_in(attributes, objectives)
    attributes |= {"trial": outcome.job.trial, "replicate": outcome.job.replicate, "until": outcome.job.until}
    if outcome.job.trial < 0:
        attributes["asked"] = outcome.job.config
    state = TrialState.FAIL if values is None else TrialState.COMPLETE
    return optuna.trial.create_trial(state=state, values=values, user_attrs=attributes)


def by_trial(kept: Iterable[FrozenTrial]) -> dict[int, tuple[Replicate, ...]]:
    """Replicates by the number of the trial that they repeat, by number and length; not those of baselines."""
    found: defaultdict[int, list[Replicate]] = defaultdict(list)
    for each in kept:
        if each.user_attrs["trial"] >= 0:
            found[each.user_attrs["trial"]].append(_replicate(each))
    return {number: _in_order(those) for number, those in found.items()}


def of_baselines(kept: Iterable[FrozenTrial]) -> list[TrialRecord]:
    """Baselines that are no trials of the search, each with its replicates, in the order of `bench.records.BASELINES`.

    A baseline may have been trained by several configurations or to several lengths, as what it was derived from moved
    when a search went on; each is a record of its own, the latest last. Retuned static weights have one for each
    weight, in order of weights.
    """
    found: dict[tuple[int, str, int | None], list[FrozenTrial]] = {}
    for each in kept:
        if each.user_attrs["trial"] < 0 and each.user_attrs["replicate"]:
            asked = json.dumps(each.user_attrs["asked"], sort_keys=True)
            found.setdefault((each.user_attrs["trial"], asked, each.user_attrs["until"]), []).append(each)
    records = [
        TrialRecord(
            number=number,
            state="completed",
            params={},
            config=dict(those[0].user_attrs["asked"]),
            architecture=BASELINES[-1 - number],
            replicates=_in_order(map(_replicate, those)),
        )
        for (number, _, _), those in found.items()
    ]
    return sorted(records, key=lambda each: (-each.number, list(each.weights.values())))


def of_tries(kept: Iterable[FrozenTrial]) -> list[tuple[dict[str, Scalar], dict[str, float]]]:
    """Configurations that baselines were tuned by, and their metrics on validation; empty for one that failed."""
    tried = [each.user_attrs for each in kept if each.user_attrs["trial"] < 0 and not each.user_attrs["replicate"]]
    return [(of["asked"], of["metrics"]) for of in tried]


def _replicate(kept: FrozenTrial) -> Replicate:
    of = kept.user_attrs
    resampled = unpacked(of.get("resampled", {}))
    return Replicate(of["replicate"], of["seed"], of["metrics"], failure_in(of), of.get("until"), resampled)


def _in_order(replicates: Iterable[Replicate]) -> tuple[Replicate, ...]:
    return tuple(sorted(replicates, key=lambda one: (one.replicate, one.until or math.inf)))
