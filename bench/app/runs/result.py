"""The result of a data set's part of a run, rebuilt from its log: its decision, and what its
surfaces say beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from bench.app.runs.comparing import answer_of
from bench.app.runs.folder import DAYS, PICK, DatasetRun
from bench.app.runs.given import sentence, terms_of
from bench.app.runs.ranked import serving_of
from bench.app.runs.search_limits import cut_short, failed, unfinished
from bench.core.objectives import Objective
from bench.core.plain import parse_toml, read_json
from bench.core.records import TrialRecord
from bench.core.rows import TEST
from bench.core.validation import validate
from bench.deciding.decision import Decision, decided
from bench.deciding.policy import Policy
from bench.deciding.verdict import Verdict
from bench.deciding.words import verdict as words
from bench.ledger.effect import Effect
from bench.ledger.fusion import Fusion, FusionKind
from bench.ledger.heads import frontier
from bench.ledger.within import TaskAreas, areas_of, warning
from bench.measure.predictions import FOLDER, read_rows
from bench.search.confirm.twins import effort_of, tried
from bench.search.study import Study


@dataclass(frozen=True, kw_only=True)
class DatasetResult:
    """The results so far of one data set's part of a run.

    Attributes:
        areas: by id of a confirmed point its areas under the curve, where what is served is ranked
            within groups.
        tuning: a sentence on how much single-task models were tuned.
        incomplete: sentences where the time limit ended the search early, the run has not ended, or
            replicates failed.
    """

    decision: Decision
    run: DatasetRun
    records: list[TrialRecord]
    objectives: tuple[Objective, ...]
    incomplete: str = ""
    tuning: str = ""
    areas: Mapping[str, Mapping[str, TaskAreas]] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        document = dict(self.decision.document)
        if self.incomplete:
            document["incomplete"] = self.incomplete
        return document

    @property
    def current(self) -> str:
        """What is compared with, how many rows it is measured on, and whose policy is followed, as
        sentences.
        """
        serving = self.decision.serving
        first = self.run.current.sentence
        if serving.served is not None and not serving.served.today:
            first = f"All are compared with {self.decision.against}"
            if not self.run.current.source:
                first += ", as nobody said what is served (--current)"
            first += "."
        sentences = [first, self.tuning, sentence(self.run.given), serving.note, self.asked]
        return " ".join(filter(None, sentences))

    @property
    def asked(self) -> str:
        """Where the run follows another policy than the suite's, a sentence that says so; else
        empty.
        """
        followed = self.decision.policy.toml
        if followed == suite_policy(self.run).toml or followed != policy_of(self.run).toml:
            return ""
        policy = ", ".join(followed.splitlines())
        again = f"`seesaw pick {self.run.run.name} --save` without other options goes back to it"
        return (
            "The pick follows the last `seesaw pick --save`, not the suite's policy "
            f"({policy}); {again}."
        )


def documents(results: Sequence[DatasetResult]) -> dict[str, Any]:
    """The documents of results on the data sets of a run, see `by_dataset`."""
    return by_dataset({result.run.key: result.document for result in results})


def by_dataset(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document of a run of one data set; else those of all, by data set."""
    return next(iter(documents.values())) if len(documents) == 1 else {"datasets": documents}


def suite_policy(run: DatasetRun) -> Policy:
    """The suite's policy."""
    return validate(Policy, run.run.suite.policy, "policy")


def policy_of(run: DatasetRun) -> Policy:
    """The policy that every surface follows: that of `picked.json`, see `seesaw pick --save`, else
    the suite's.
    """
    path = run.folder / PICK
    if not path.is_file():
        return suite_policy(run)
    return validate(Policy, parse_toml(read_json(path)["policy"], str(path)), str(path))


def result_of(run: DatasetRun, policy: Policy | None = None, keep: bool = False) -> DatasetResult:
    """Reads the log and computes both fronts, the pick and the verdict; raises UserError if nothing
    was run yet.

    Args:
        policy: in place of that of `policy_of`.
        keep: whether to leave a served front that was not drawn before in the run's folder.
    """
    objectives = run.objectives
    seed = run.run.request.seed
    study = Study.read(run.folder)
    records = study.records()
    baselines = run.current.without_earlier(study.baselines())
    front = frontier(records, objectives, run.dataset.reference, seed=seed, baselines=baselines)
    front = replace(front, answer=answer_of(run, study))
    followed = policy or policy_of(run)
    served = serving_of(run, front.points, objectives, followed, keep)
    areas = areas_of(front.points, [task for task in run.tasks if task.name in run.ranked])

    def warning_of(point: str) -> str:
        return warning(areas, point, str(run.card.group))

    decision = decided(front, served, followed, seed, warning_of)
    decision = replace(
        decision,
        verdict=_with_days(decision, run.folder / DAYS, run.task_names),
        terms=terms_of(run.given),
        test=lambda: read_rows(run.folder / FOLDER, TEST),
        units=run.card.units,
        group=run.card.group,
    )
    incomplete = [cut_short(run, study), unfinished(run, study), failed(run, records, baselines)]
    return DatasetResult(
        decision=decision,
        run=run,
        records=records,
        objectives=objectives,
        areas=areas,
        incomplete=" ".join(filter(None, incomplete)),
        tuning=tuning_of_single_task(study, records),
    )


def _with_days(decision: Decision, path: Path, tasks: Sequence[str]) -> Verdict:
    """The verdict, with what the run's last back-test says of what was picked; of another pick it
    says nothing.
    """
    pick = decision.pick
    if pick is None or pick.kind is None or pick.weights is None or not path.is_file():
        return decision.verdict
    days = read_json(path)
    weights = [pick.weights.get(task, 0.0) for task in tasks]
    fusion = Fusion.of(cast(FusionKind, pick.kind), weights)
    answer = [pick.point, fusion.kind, list(fusion.weights)]
    for name, served in days["served"].items():
        if name in days["points"] and served == answer:
            average = Effect.from_json(days["points"][name]["average"])
            return decision.verdict.by_days(days["sentences"][name][0], average)
    return decision.verdict


def tuning_of_single_task(study: Study, records: Sequence[TrialRecord]) -> str:
    """A sentence on how much single-task models were tuned; empty without twins, see
    `bench.search.confirm.twins`.
    """
    effort = effort_of(records, len(tried(study, records)))
    if not effort.twins:
        return ""
    return words.tuned(effort.alone, effort.twins, effort.kind, effort.of_kind)
