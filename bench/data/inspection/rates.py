"""Whether an id is also to be described by target rates: each task's mean label among train rows of its value."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.inspection.column import Counted
from bench.data.inspection.kinds import Finding
from bench.data.inspection.trying import Trial

MANY = 100
"""Distinct values beyond which rates are thought of: an embedding of its own learns few values as well."""
OFTEN = 5
"""Rows of train from which on a value's rate says something."""
COVERED = 0.5
"""Share of validation's rows whose value must be there so often in train."""
TELLS = 0.05
"""What rates must tell of a task, as AUC above a half, or R2."""


@dataclass(frozen=True)
class Rate:
    """What speaks for or against target rates.

    Attributes:
        on: whether they are put on the card.
        why: the evidence.
    """

    on: bool
    why: str


def find_rate(column: Counted, finding: Finding, trial: Trial) -> Rate | None:
    """The evidence on a categorical input of many values; None for any other, or where no label is there to try on."""
    option = finding.option or {}
    if len(column.counts) <= MANY or option.get("kind") != "categorical" or "derive" in option:
        return None
    chance = {name: 0.5 if binary else 0.0 for name, (_, binary) in trial.halves.labels.items()}
    scores = {name: (score - chance[name], score) for name, score in trial.alone(trial.single).items()}
    if not scores:
        return None
    covered = trial.repeated(OFTEN)
    task = max(scores, key=lambda name: scores[name][0])
    more, score = scores[task]
    measure = "AUC" if trial.halves.labels[task][1] else "R2"
    why = (
        f"{covered:.0%} of validation's rows have a value that {OFTEN} rows of train or more have, and the rates alone "
        f"tell '{task}' there (validation {measure} {score:.4f})"
    )
    return Rate(covered >= COVERED and more >= TELLS, why)
