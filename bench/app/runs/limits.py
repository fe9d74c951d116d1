"""The limits of a search on a data set: its rungs and full length in samples, and the limit that
ended it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.app.runs.folder import DatasetRun
from bench.app.runs.suite import EPOCHS, Suite, lowest_rung
from bench.core.errors import UserError, listed
from bench.core.records import Point, TrialRecord
from bench.core.system.lock import is_held
from bench.core.system.progress import duration
from bench.models.training.config import OptimConfig
from bench.search.space import Space
from bench.search.study import Study
from bench.search.tree import walk


def rungs_of(suite: Suite, space: Space, rows: int) -> tuple[int, ...]:
    """Training samples at each rung, the last of them full length; that alone where the suite has
    no rungs.

    Where epochs are searched, full length is that of the most: trials of fewer end before it, and
    count as long.

    Args:
        rows: of the data set's train split.

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
    if not suite.search.by_rungs:
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
    fixed = space.fixed.get(EPOCHS, OptimConfig().epochs)
    nodes = [node for name, node, _ in walk(space.tree) if name == EPOCHS]
    searched = [value for node in nodes for value in getattr(node, "extremes", ())]
    return max(float(value) for value in searched or [fixed])


def spent_of(run: DatasetRun, study: Study) -> tuple[dict[str, int], dict[str, int | None]]:
    """How many `trials` and training `samples` the search used, and the most that it may; None for
    no limit.

    Where every trial is trained to full length, a limit in full lengths is one of trials.
    """
    budget, ledger, ladder = run.run.suite.budget, study.history, study.ladder
    most = min(filter(None, (budget.trials, None if ladder else budget.lengths)), default=None)
    used = {"trials": ledger.trials, "samples": ledger.samples(ladder)}
    samples = budget.samples_of(ladder[-1]) if ladder else None
    return used, {"trials": None if most is None else int(most), "samples": samples}


def cut_short(run: DatasetRun, study: Study) -> str:
    """A sentence where the time limit ended the search before its trials or samples were used up;
    else empty.
    """
    budget = run.run.suite.budget
    if not study.cut_short or budget.time is None:
        return ""
    used, limits = spent_of(run, study)
    units = {"samples": "training samples", "trials": "trials"}
    parts = [
        f"{used[key]:,} of {limit:,} {unit}"
        for key, unit in units.items()
        if (limit := limits[key])
    ]
    return (
        f"The time limit of {duration(budget.time)} ended the search at {' and '.join(parts)}; "
        f"`seesaw resume {run.run.name} --time` raises it."
    )


def unfinished(run: DatasetRun, study: Study) -> str:
    """A sentence where the run has not come to its end; else empty."""
    if study.confirmed:
        return ""
    then = (
        "a driver works on it"
        if is_held(run.run.folder)
        else f"`seesaw resume {run.run.name}` goes on"
    )
    return f"The run has not ended: points or replicates are missing here; {then}."


def failed(run: DatasetRun, records: Sequence[TrialRecord], others: Sequence[Point]) -> str:
    """A sentence where replicates failed for good, so that a point has fewer than it should, or
    none; else empty.
    """
    every = [(f"trial {record.number}", record.replicates) for record in records]
    every += [(point.name, point.replicates) for point in others]
    counts = {
        name: sum(each.failure is not None for each in replicates) for name, replicates in every
    }
    lost = [f"{count} of {name}" for name, count in counts.items() if count]
    if not lost:
        return ""
    return (
        f"Replicates failed and are missing here: {listed(lost)}; `seesaw status "
        f"{run.run.name}` says why."
    )


def ended(run: DatasetRun, study: Study) -> str:
    """The limit that ended a search, in one sentence: its time, its samples or its trials."""
    if told := cut_short(run, study):
        return told
    used, limits = spent_of(run, study)
    trials, samples, most = used["trials"], used["samples"], limits["samples"]
    least = study.ladder[0] if study.ladder else 0
    if most and most - samples < least:
        return (
            f"The search ended at its limit of {most:,} training samples: {samples:,} used by "
            f"{trials:,} trials."
        )
    if limits["trials"] is not None and trials >= limits["trials"]:
        return f"The search ended at its limit of {limits['trials']:,} trials."
    return (
        f"The search ended after {trials:,} trials: the rest of its limit is too small for "
        "another job."
    )
