"""The search's progress, what mattered in it, and its failed runs by reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.app.report import text
from bench.core.objectives import in_thousandths
from bench.core.records import TrialRecord
from bench.core.rows import CONFIRM, SEARCH
from bench.ledger.heads import Frontier
from bench.ledger.history import History
from bench.ledger.importance import Importance, alone, importances
from bench.ledger.points import estimates


def failures(records: Sequence[TrialRecord]) -> list[tuple[tuple[str, str], list[int]]]:
    """By kind and reason the trials of failed runs, replicates among them; the most frequent
    first.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in records:
        for failure in filter(None, (record.failure, *(run.failure for run in record.replicates))):
            groups[failure.kind, failure.reason].append(record.number)
    return sorted(groups.items(), key=lambda each: (-len(each[1]), sorted(set(each[1]))))


def course(front: Frontier, records: Sequence[TrialRecord]) -> list[tuple[int, float]]:
    """(training samples, hypervolume) after each result."""
    history = History(front.measures, front.reference, any(record.rungs for record in records))
    history.add(records, 2**63)
    return [(each.samples, each.hypervolume) for each in history.rows]


def influences(records: Sequence[TrialRecord], front: Frontier) -> tuple[Importance, ...]:
    """Of parameters on the hypervolume of a trial alone; in a search by rungs at the first, which
    all of them saw.
    """
    measured = [record.points[0] for record in records if record.measured]
    values = estimates([point.unconfirmed for point in measured], front.measures)
    return tuple(importances(measured, alone(values, front.measures, front.reference), seed=0))


def seed_effects(front: Frontier) -> list[str]:
    """For each metric what another seed changes, how far confirmed points lie apart, and how much
    the search's values of them are too good."""
    effects, trials = [], (front.table["role"] == "trial").to_numpy()
    means, deviations, searched = front.at(CONFIRM), front.at(CONFIRM, "sd"), front.at(SEARCH)
    for column, objective in enumerate(front.measures):
        rows = trials & np.isfinite(deviations[:, column])
        if not objective.is_metric or rows.sum() < 2:
            continue
        own, noise = means[rows, column], float(np.median(deviations[rows, column]))
        scale = 1000.0 if in_thousandths(objective.name) else 1.0
        lost = objective.sign * float(np.nanmean(searched[rows, column] - own))
        unit = " (\N{MULTIPLICATION SIGN} 1000)" if scale > 1 else ""
        sizes = (noise, float(np.ptp(own)), abs(lost))
        moved, apart, size = (text.signed(scale * each, scale).lstrip("+") for each in sizes)
        much = (
            f"; the search measured them {size} {'better' if lost >= 0 else 'worse'} than "
            "confirmation, on average"
        )
        effects.append(
            f"{text.label(objective.name)}{unit}: another seed moves a model by {moved} (standard "
            f"deviation); {rows.sum()} confirmed points lie {apart} "
            f"apart{much if np.isfinite(lost) else ''}."
        )
    return effects
