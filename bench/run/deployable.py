"""Which points can be packaged: those that are one network's configuration."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UserError
from bench.frontier.gains import BASELINE
from bench.records import TrialRecord

INSTEAD = "pick a network with --policy FILE"


def network_of(point: TrialRecord, points: Sequence[TrialRecord]) -> TrialRecord:
    """The point whose configuration is trained for good where `point` is deployed.

    That is the point itself. The best single-task models are one point where one trial has the best of every task.

    Args:
        points: all of the run.

    Raises:
        UserError: there is no such network: boosted trees, an ensemble, single-task models of several trials, or a
            column of the log.
    """
    prefix = f"{BASELINE}."
    single = {key.removeprefix(prefix): value for key, value in point.config.items() if key.startswith(prefix)}
    if single:
        of_one = [each for each in points if {each.number} == set(single.values())]
        if not of_one:
            trials = ", ".join(f"'{task}' is of trial {trial}" for task, trial in single.items())
            raise UserError(
                "the pick is the best single-task model of each task, and these have several configurations "
                f"({trials}); a package holds one: {INSTEAD}"
            )
        return max(of_one, key=lambda each: len(each.rungs))
    if any(key.startswith("ensemble.") for key in point.config):
        raise UserError(f"the pick is an ensemble of half-size models, which cannot be packaged; {INSTEAD}")
    if "sharing.kind" not in point.config:
        what = "boosted trees" if point.architecture == "trees" else f"'{point.architecture}'"
        raise UserError(f"the pick is {what}, which is no network and cannot be packaged; {INSTEAD}")
    return point
