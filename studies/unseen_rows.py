"""What it costs to confirm a search's best on the rows that chose them, on searches whose truth is
known.

    python studies/unseen_rows.py [--runs 400] [--write docs/studies/statistics.md]

Each run searches 60 configurations, each trained once and measured on validation; shortlists 10 of
them; trains these again on fresh seeds; and takes means and the hypervolume's interval. A measured
value is the true one, plus what the seed does, what the rows do to all configurations alike, and
what they do to this one (the "row error"). Replicates are measured on the search's own rows (their
row error is the one that the search saw) or on rows that it did not see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from fronts import SETTINGS, Floats
from speed.table import simulation

from bench.core.records import Replicate, TrialRecord
from bench.core.rows import CONFIRM, SEARCH
from bench.ledger.heads import frontier
from bench.ledger.pareto import hypervolume
from bench.search.confirm.race import shortlist

CONFIGURATIONS, SHORTLIST, REPLICATES, RESAMPLES = 60, 10, 3, 200
SPREAD, SEEDS, ALIKE = 1e-3, 4e-4, 3e-3
ROW_ERRORS = (0.5e-3, 1e-3, 2e-3)
OBJECTIVES, REFERENCE = SETTINGS[0].objectives, SETTINGS[0].reference
KEYS = {split: [objective.key(split) for objective in OBJECTIVES] for split in (SEARCH, CONFIRM)}


@dataclass(frozen=True)
class Rows:
    """What a split's rows do to measured values: to all alike (1 + B, 2), to each configuration (N,
    1 + B, 2).

    The first is the split's own error, the others are those of its resamples.
    """

    common: Floats
    separate: Floats

    @classmethod
    def draw(cls, error: float, rng: np.random.Generator) -> Rows:
        """Normal errors; `error` is the standard deviation of a configuration's own."""
        size = 1 + RESAMPLES, len(OBJECTIVES)
        return cls(rng.normal(0, ALIKE, size), rng.normal(0, error, (CONFIGURATIONS, *size)))

    @property
    def error(self) -> Floats:
        """(N, 2), of each configuration on the split as it is."""
        return np.asarray(self.common[0] + self.separate[:, 0])


@dataclass(frozen=True)
class Outcome:
    """Of one run: the means' errors without what moves all alike, and whether the interval held the
    hypervolume.
    """

    errors: Floats
    covered: bool


def truth_of(rng: np.random.Generator) -> Floats:
    """(N, 2): along a front, and below it."""
    positions = rng.normal(0, 2 * SPREAD, CONFIGURATIONS)
    below = np.abs(rng.normal(0, SPREAD, CONFIGURATIONS))
    return np.column_stack([0.75 + positions - below, 0.80 - positions - below])


def confirmed(
    trial: TrialRecord, true: Floats, rows: Rows, rng: np.random.Generator
) -> TrialRecord:
    """The trial with replicates on fresh seeds, measured on rows."""
    moved = rows.common + rows.separate[trial.number]
    replicates = []
    for number, value in enumerate(
        true + rng.normal(0, SEEDS, (REPLICATES, len(OBJECTIVES))) + moved[0], 1
    ):
        resampled = dict(zip(KEYS[CONFIRM], moved[1:].T.tolist(), strict=True))
        metrics = dict(zip(KEYS[CONFIRM], value.tolist(), strict=True))
        replicates.append(Replicate(number, number, metrics, resampled=resampled))
    return replace(trial, replicates=tuple(replicates))


def outcome_of(error: float, unseen: bool, rng: np.random.Generator, run: int) -> Outcome:
    """Searches, shortlists and confirms once."""
    truth, searched = truth_of(rng), Rows.draw(error, rng)
    observed = truth + searched.error + rng.normal(0, SEEDS, truth.shape)
    records = [
        TrialRecord(number, "completed", {}, {}, "-", dict(zip(KEYS[SEARCH], value, strict=True)))
        for number, value in enumerate(observed.tolist())
    ]
    rows = Rows.draw(error, rng) if unseen else searched
    chosen = shortlist(records, OBJECTIVES, REFERENCE, SHORTLIST, single_task=False)
    trials = [confirmed(records[point.number], truth[point.number], rows, rng) for point in chosen]
    front = frontier(trials, OBJECTIVES, REFERENCE, run)
    volume, means = front.volume, front.at(CONFIRM)
    assert volume is not None
    true_values = truth[front.table["trial"].tolist()]
    covered = volume.low <= hypervolume(true_values, OBJECTIVES, REFERENCE) <= volume.high
    return Outcome((means - rows.common[0] - true_values).mean(axis=1), covered)


@dataclass(frozen=True)
class Found:
    """Of many runs: the bias of means with its standard error, and how often the interval held the
    hypervolume.
    """

    error: float
    unseen: bool
    bias: float
    bias_error: float
    covered: float


def found_of(error: float, unseen: bool, runs: int, seed: int = 0) -> Found:
    """The results of `runs` runs. An effect on all alike is zero on average and chooses nothing:
    the bias omits it.
    """
    rng = np.random.default_rng(seed)
    outcomes = [outcome_of(error, unseen, rng, run) for run in range(runs)]
    errors = np.array([outcome.errors.mean() for outcome in outcomes])
    covered_share = float(np.mean([outcome.covered for outcome in outcomes]))
    return Found(
        error,
        unseen,
        float(errors.mean()),
        float(errors.std(ddof=1) / np.sqrt(runs)),
        covered_share,
    )


def table(results: list[Found]) -> str:
    """A line for each row error and way."""
    lines = [
        "| row error | confirmed on | bias of means | hypervolume covered |",
        "|---|---|---|---|",
    ]
    for result in results:
        rows = "unseen rows" if result.unseen else "the search's own rows"
        bias = f"{1e3 * result.bias:+.2f} ± {1e3 * result.bias_error:.2f}"
        lines.append(f"| {1e3 * result.error:g} | {rows} | {bias} | {result.covered:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    CASES = [(error, unseen) for error in ROW_ERRORS for unseen in (False, True)]
    simulation(
        __doc__, "unseen", 400, lambda runs: table([found_of(*case, runs) for case in CASES])
    )
