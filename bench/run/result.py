"""The result of a data set's part of a run, rebuilt from its log: fronts, choices, pick and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.frontier.choices import Choices, head_choices, served_choices
from bench.frontier.pick import NothingPasses, Pick, pick
from bench.frontier.policy import Policy
from bench.frontier.questions import readings
from bench.frontier.verdict import Verdict
from bench.objectives import Objective
from bench.plain import parse_toml, read_json
from bench.records import TrialRecord
from bench.results.frontier import Frontier, frontier
from bench.results.ledger import long_of
from bench.results.points import untested
from bench.results.within import Areas, areas_of, warning
from bench.run.comparing import answer_of
from bench.run.folder import DatasetRun
from bench.run.limits import cut_short, failed, unfinished
from bench.run.serving import Serving, serving_of, verdict_of
from bench.search.study import Study
from bench.validation import validate


@dataclass(frozen=True)
class DatasetResult:
    """The results so far of one data set's part of a run.

    Attributes:
        frontier: of the heads.
        serving: the front that is served.
        choices: what the policy chooses among.
        verdict: whether to switch, the first thing that every surface says.
        pick: None where there is none, and then `no_pick` says why.
        nothing_passes: what would be picked if the guard were another, where it let nothing through.
        areas: by id of a confirmed point its areas under the curve, where what is served is ranked within groups.
        incomplete: sentences where the time limit ended the search early, the run has not ended, or replicates failed.
    """

    run: DatasetRun
    records: list[TrialRecord]
    objectives: tuple[Objective, ...]
    frontier: Frontier
    serving: Serving
    choices: Choices
    policy: Policy
    verdict: Verdict
    pick: Pick | None
    no_pick: str = ""
    nothing_passes: NothingPasses | None = None
    incomplete: str = ""
    areas: Mapping[str, Mapping[str, Areas]] = field(default_factory=dict)

    @property
    def readings(self) -> list[str]:
        """What the served front says beside the verdict: exchange rates at the pick, what models alone gain."""
        if self.serving.served is None or self.pick is None:
            return []
        return readings(self.serving.served, self.pick.row)

    @property
    def current(self) -> str:
        """What is compared with, how many rows it is measured on, and whose policy is followed, as sentences."""
        other = self.serving.served is not None and not self.serving.named
        first = f"Current: {self.serving.against}." if other else self.run.current.sentence
        return " ".join(filter(None, [first, self.serving.note, self.asked]))

    @property
    def asked(self) -> str:
        """Where the policy is not the suite's, a sentence that says so; else empty."""
        if self.policy.toml == suite_policy(self.run).toml:
            return ""
        policy = ", ".join(self.policy.toml.splitlines())
        again = f"`seesaw pick {self.run.run.name}` without options goes back to it"
        return f"The pick follows the last `seesaw pick`, not the suite's policy ({policy}); {again}."


def suite_policy(run: DatasetRun) -> Policy:
    """The suite's policy."""
    return validate(Policy, run.run.manifest.suite.policy, "policy")


def policy_of(run: DatasetRun) -> Policy:
    """The policy that every surface follows: that of `picked.json`, which `seesaw pick` writes, else the suite's.

    Raises:
        UserError: somebody changed the file so that it holds no policy.
    """
    path = picked_path(run)
    known = read_json(path) if path.is_file() else None
    text = known.get("policy") if isinstance(known, dict) else None
    return validate(Policy, parse_toml(text, str(path)), str(path)) if isinstance(text, str) else suite_policy(run)


def result_of(run: DatasetRun, policy: Policy | None = None, keep: bool = False) -> DatasetResult:
    """Reads the log and computes both fronts, the pick and the verdict.

    Args:
        policy: in place of that of `policy_of`.
        keep: whether to leave a served front that was not drawn before in the run's folder.

    Raises:
        UserError: nothing was run yet.
    """
    objectives = run.objectives
    study = Study.read(run.folder)
    records, baselines = study.records(), run.current.without_earlier(study.baselines())
    front = frontier(records, objectives, run.dataset.reference, seed=run.run.manifest.seed, baselines=baselines)
    front = replace(front, answer=answer_of(run, study))
    chosen, reason, refused = None, "", None
    followed = policy or policy_of(run)
    serving = serving_of(run, front.points, objectives, followed.outcomes, keep)
    points = untested(front.points)
    if serving.served is None:
        choices = head_choices(front, points, run.run.manifest.seed)
    else:
        choices = served_choices(serving.served, points)
    try:
        chosen = pick(choices, points, followed)
    except UserError as error:
        reason = str(error)  # a run without a pick is still a run: its frontier is shown, with the reason
        refused = error if isinstance(error, NothingPasses) else None
    areas = areas_of(front.points, [task for task in run.tasks if task.name in run.ranked])
    blind = warning(areas, chosen.point, str(run.card.group)) if chosen else ""
    told = verdict_of(serving, followed, chosen, reason, " ".join(filter(None, [front.suspicion, blind])))
    return DatasetResult(
        run, records, objectives, front, serving, choices, followed, told, chosen, reason, refused,
        " ".join(filter(None, [cut_short(run, study), unfinished(run, study), failed(run, records, baselines)])),
        areas,
    )  # fmt: skip


def cells_of(result: DatasetResult) -> pd.DataFrame:
    """All cells of a data set's part as one long table, see `Ledger.long`: of the front of heads, and of the served."""
    fronts = {"heads": result.frontier} | ({"served": result.serving.served} if result.serving.served else {})
    return long_of(fronts)


def picked_path(run: DatasetRun) -> Path:
    """Where the pick is, with its reasons: what `seesaw deploy` takes."""
    return run.folder / "picked.json"
