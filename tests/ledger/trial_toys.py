"""Trial records as the rooms before the ledger hand them over: fixtures that several rooms
import.
"""

import pytest

from bench.core.objectives import Objective
from bench.core.records import Failure, Replicate, TrialRecord

CLICK = Objective("click.auc", "maximize")
LIKE = Objective("like.auc", "maximize")


@pytest.fixture
def objectives():
    return (CLICK, LIKE)


@pytest.fixture
def trial():
    """A completed trial from its click and like AUC; `runs` are (confirm, test) pairs of (click,
    like) of replicates.

    On validation, replicates have .01 more.
    """

    def make(
        number,
        click=0.7,
        like=0.8,
        kind="mmoe",
        balancing="static",
        runs=(),
        failed_runs=0,
        **costs,
    ):
        good = tuple(
            Replicate(
                i,
                100 * number + i,  # no seed is shared
                {
                    f"{split}/{name}.auc": values[column] + by
                    for split, values, by in (
                        ("valid", confirm, 0.01),
                        ("confirm", confirm, 0.0),
                        ("test", test, 0.0),
                    )
                    for column, name in enumerate(("click", "like"))
                },
            )
            for i, (confirm, test) in enumerate(runs, start=1)
        )
        bad = tuple(
            Replicate(
                len(runs) + i, 100 * number + 50 + i, {}, Failure("diverged", "loss became NaN")
            )
            for i in range(1, failed_runs + 1)
        )
        return TrialRecord(
            number=number,
            state="completed",
            params={},
            config={
                "sharing.kind": kind,
                "funnel.kind": "independent",
                "balancing.kind": balancing,
            },
            architecture=kind,
            metrics={"valid/click.auc": click, "valid/like.auc": like}
            | {f"cost/{name}": value for name, value in costs.items()},
            replicates=good + bad,
        )

    return make


@pytest.fixture
def point(trial):
    """The point of such a trial."""
    return lambda *args, **options: trial(*args, **options).points[0]


@pytest.fixture
def failed():
    """A trial that diverged."""

    def make(number):
        config = {"sharing.kind": "ple", "funnel.kind": "independent", "balancing.kind": "static"}
        return TrialRecord(
            number, "failed", {}, config, "ple", failure=Failure("diverged", "loss became NaN")
        )

    return make
