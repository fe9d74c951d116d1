"""What ended a search: its trials, its samples, or the time."""

from __future__ import annotations

from bench.progress import duration
from bench.run.folder import DatasetRun
from bench.search.study import Study


def cut_short(run: DatasetRun, study: Study) -> str:
    """A sentence where the time limit ended the search before its trials or samples were used up; else empty."""
    budget = run.run.manifest.suite.budget
    if not study.cut_short or budget.time is None:
        return ""
    samples, trials = study.ledger.samples(study.ladder), study.ledger.trials
    most = budget.samples_of(study.ladder[-1]) if study.ladder else budget.samples
    parts = [f"{samples:,} of {most:,} training samples"] if most else []
    parts += [f"{trials:,} of {budget.trials:,} trials"] if budget.trials else []
    return (
        f"The time limit of {duration(budget.time)} ended the search at {' and '.join(parts)}; "
        f"`seesaw resume {run.run.name} --time` raises it."
    )


def ended(run: DatasetRun, study: Study) -> str:
    """What ended a search that is over, in one sentence: its time, its samples or its trials."""
    if told := cut_short(run, study):
        return told
    samples, trials = study.ledger.samples(study.ladder), study.ledger.trials
    budget = run.run.manifest.suite.budget
    most = budget.samples_of(study.ladder[-1]) if study.ladder else None
    least = study.ladder[0] if study.ladder else 0
    if most and most - samples < least:
        return f"The search ended at its limit of {most:,} training samples: {samples:,} used by {trials:,} trials."
    if budget.trials is not None and trials >= budget.trials:
        return f"The search ended at its limit of {budget.trials:,} trials."
    return f"The search ended after {trials:,} trials: the rest of its limit is too small for another job."
