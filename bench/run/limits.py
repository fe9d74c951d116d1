"""The limit that ended a search: its trials, its samples, or the time."""

from __future__ import annotations

from bench.progress import duration
from bench.run.folder import DatasetRun
from bench.search.study import Study


def limits_of(run: DatasetRun, study: Study) -> tuple[int | None, int | None]:
    """How many trials and training samples the search may take, None for no limit.

    Where every trial is trained to full length, a limit in full lengths is one of trials.
    """
    budget = run.run.manifest.suite.budget
    if study.ladder:
        return budget.trials, budget.samples_of(study.ladder[-1])
    most = [each for each in (budget.trials, budget.lengths) if each is not None]
    return int(min(most)) if most else None, None


def cut_short(run: DatasetRun, study: Study) -> str:
    """A sentence where the time limit ended the search before its trials or samples were used up; else empty."""
    budget = run.run.manifest.suite.budget
    if not study.cut_short or budget.time is None:
        return ""
    samples, trials = study.ledger.samples(study.ladder), study.ledger.trials
    most_trials, most = limits_of(run, study)
    parts = [f"{samples:,} of {most:,} training samples"] if most else []
    parts += [f"{trials:,} of {most_trials:,} trials"] if most_trials else []
    return (
        f"The time limit of {duration(budget.time)} ended the search at {' and '.join(parts)}; "
        f"`seesaw resume {run.run.name} --time` raises it."
    )


def ended(run: DatasetRun, study: Study) -> str:
    """The limit that ended a search, in one sentence: its time, its samples or its trials."""
    if told := cut_short(run, study):
        return told
    samples, trials = study.ledger.samples(study.ladder), study.ledger.trials
    most_trials, most = limits_of(run, study)
    least = study.ladder[0] if study.ladder else 0
    if most and most - samples < least:
        return f"The search ended at its limit of {most:,} training samples: {samples:,} used by {trials:,} trials."
    if most_trials is not None and trials >= most_trials:
        return f"The search ended at its limit of {most_trials:,} trials."
    return f"The search ended after {trials:,} trials: the rest of its limit is too small for another job."
