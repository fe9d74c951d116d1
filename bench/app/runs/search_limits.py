"""The limits of a search on a data set: its rungs and full length in samples, and the limit that
ended it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.app.runs.folder import DatasetRun
from bench.app.runs.suite import EPOCHS, Suite, lowest_rung
from bench.core.errors import UserError, listed
from bench.core.records import Point, Replicate, TrialRecord
from bench.core.system.lock import is_held
from bench.core.system.progress import duration
from bench.models.training.config import OptimConfig
from bench.search.nodes import Leaf, Switch
from bench.search.space import Space
from bench.search.study import Study
from bench.search.tree import walk


def rungs_of(suite: Suite, space: Space, rows: int, early: bool = True) -> tuple[int, ...]:
    """Training samples at each rung, the last of them full length; that alone where the suite has
    no rungs.

    Where epochs are searched, full length is that of the most: trials of fewer end before it, and
    count as long.

    Args:
        rows: of the data set's train split.
        early: whether any model can be stopped early.

    Raises:
        UserError: the budget does not hold one trial of full length.
    """
    full = max(1, round(most_epochs(space) * rows))
    budget = suite.budget.samples
    if budget is not None and budget < full:
        raise UserError(
            f"budget.samples: expected at least {full:,}, which one trial of full length takes, "
            f"found {budget:,}"
        )
    if not suite.search.by_rungs or not early:
        return (full,)
    return ladder(lowest_rung(suite.search.lowest, full), suite.search.step, full)


def ladder(lowest: int, eta: float, full: int) -> tuple[int, ...]:
    """Rungs from the lowest to full length, each about `eta` times the one below.

    From the lowest upwards every step is a factor of `eta`, but the last, which is what is left to
    full length: between the root of `eta` and `eta` to the power 1.5. A rung nearer to full length
    than that would save next to nothing, and only the lowest may be. Where the lowest rung is no
    shorter than full length, full length is all.

    Args:
        lowest: training samples at which a trial is first judged.
        eta: above 1.
        full: training samples of a trial that is never stopped.

    Returns:
        Samples at each rung, rising.
    """
    if lowest >= full:
        return (full,)
    rungs = [float(lowest)]
    while rungs[-1] * eta * math.sqrt(eta) <= full:
        rungs.append(rungs[-1] * eta)
    # A small eta rounds small rungs to the same number of samples.
    return (*sorted({round(rung) for rung in rungs} - {full}), full)


def most_epochs(space: Space) -> float:
    """Passes over train at full length: the most where they are searched."""
    searched: list[Any] = []
    for name, node, _ in walk(space.tree):
        if name == EPOCHS and isinstance(node, Leaf | Switch):
            searched += node.extremes
    if not searched:
        searched.append(space.fixed.get(EPOCHS, OptimConfig().epochs))
    return max(map(float, searched))


def spent_of(run: DatasetRun, study: Study) -> tuple[dict[str, int], dict[str, int | None]]:
    """How many `trials` and training `samples` the search used, and the most that it may; None for
    no limit.

    Where every trial is trained to full length, a limit in full lengths is one of trials.
    """
    budget = run.run.suite.budget
    ledger = study.history
    ladder = study.ladder
    spent = {"trials": ledger.trials, "samples": ledger.samples(ladder)}
    if ladder:
        return spent, {"trials": budget.trials, "samples": budget.samples_of(ladder[-1])}
    limits = list(filter(None, [budget.trials, budget.lengths]))
    trials = int(min(limits)) if limits else None
    return spent, {"trials": trials, "samples": None}


def cut_short(run: DatasetRun, study: Study) -> str:
    """A sentence where the time limit ended the search before its trials or samples were used up;
    else empty.
    """
    budget = run.run.suite.budget
    if not study.cut_short or budget.time is None:
        return ""
    spent, limits = spent_of(run, study)
    parts = []
    for key, unit in {"samples": "training samples", "trials": "trials"}.items():
        limit = limits[key]
        if limit:
            parts.append(f"{spent[key]:,} of {limit:,} {unit}")
    return (
        f"The time limit of {duration(budget.time)} ended the search at {' and '.join(parts)}; "
        f"`{run.run.go_on} --time` raises it."
    )


def unfinished(run: DatasetRun, study: Study) -> str:
    """A sentence where the run has not come to its end; else empty."""
    if study.confirmed:
        return ""
    then = f"`{run.run.go_on}` goes on"
    if is_held(run.run.folder):
        then = "a driver works on it"
    return f"The run has not ended: points or replicates are missing here; {then}."


def failed(run: DatasetRun, records: Sequence[TrialRecord], baselines: Sequence[Point]) -> str:
    """A sentence where replicates failed for good, so that a point has fewer than it should, or
    none; else empty.
    """
    replicates: dict[str, Sequence[Replicate]] = {}
    for record in records:
        replicates[f"trial {record.number}"] = record.replicates
    for point in baselines:
        replicates[point.name] = point.replicates
    lost = []
    for name, trained in replicates.items():
        failed_ones = sum(replicate.failure is not None for replicate in trained)
        if failed_ones:
            lost.append(f"{failed_ones} of {name}")
    if not lost:
        return ""
    return (
        f"Replicates failed and are missing here: {listed(lost)}; `seesaw status "
        f"{run.run.name}` says why."
    )


def ended(run: DatasetRun, study: Study) -> str:
    """The limit that ended a search, in one sentence: its time, its samples or its trials."""
    by_time = cut_short(run, study)
    if by_time:
        return by_time
    spent, limits = spent_of(run, study)
    trials = spent["trials"]
    samples = spent["samples"]
    limit = limits["samples"]
    lowest = study.ladder[0] if study.ladder else 0
    if limit and limit - samples < lowest:
        return (
            f"The search ended at its limit of {limit:,} training samples: {samples:,} used by "
            f"{trials:,} trials."
        )
    if limits["trials"] is not None and trials >= limits["trials"]:
        return f"The search ended at its limit of {limits['trials']:,} trials."
    return (
        f"The search ended after {trials:,} trials: the rest of its limit is too small for "
        "another job."
    )
