"""Tuning of boosted trees before they are confirmed: as many tries as the search gave to a way of sharing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.progress import Progress, Silent
from bench.records import TREES, Scalar, TrialRecord
from bench.rows import SEARCH
from bench.search.driver import MakeJob, closing_on_error
from bench.search.executors.base import Executor
from bench.search.study import Study
from bench.seeds import derive
from bench.training.tree_settings import best_by_task, configurations


def tries_of(records: Sequence[TrialRecord], tries: int) -> int:
    """How many configurations of trees are tried: as many as the search gave to a kind of sharing on average.

    A trial below full length counts by the part of it that it was trained.

    Args:
        tries: of each kind besides its defaults, as in the suite: at least so many here, too.
    """
    kinds = {record.sharing for record in records}
    lengths = [record.rungs[-1].samples for record in records if record.rungs]
    trials = len(records) - len(lengths) + sum(lengths) / max(lengths, default=1)
    return max(1 + tries, math.ceil(trials / max(1, len(kinds))))


def tuned(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    baselines: Sequence[TrialRecord],
    tasks: Sequence[str],
    tries: int,
    seed: int,
    progress: Progress | None = None,
) -> list[TrialRecord]:
    """The baselines, trees with settings by task: those that validation found best of so many tries.

    Each configuration is tried once, all on one seed, and measured on validation alone; none is tried twice. All
    outcomes are known before any is chosen, so the choice is the same with any number of workers.

    Args:
        seed: of the run, for the configurations.
    """
    progress = progress or Silent()
    if all(record.number != TREES for record in baselines):
        return list(baselines)
    asked = configurations(tasks, tries, derive(seed, "trees"))
    known = {_key(config) for config, _ in study.tries()}
    left = [config for config in asked if _key(config) not in known]
    with (
        closing_on_error(executor),
        progress.task("tuning trees", len(asked), "tries", len(asked) - len(left)) as advance,
    ):
        for config in left:
            executor.submit(make_job(TREES, 0, config, (SEARCH,)))
        for _ in left:
            outcome = executor.next()
            study.add_replicate(outcome)
            advance(1)
            if outcome.failure:
                progress.note(f"a try of trees failed ({outcome.failure.kind}): {outcome.failure.reason}")
    metrics = {_key(config): found for config, found in study.tries()}
    chosen = best_by_task(tasks, [(config, metrics[_key(config)]) for config in asked])
    return [replace(each, config=chosen) if each.number == TREES else each for each in baselines]


def _key(config: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(config), sort_keys=True)
