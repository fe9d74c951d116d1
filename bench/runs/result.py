"""The result of a data set's part of a run, rebuilt from its log: fronts, choices, pick and verdict; its documents.

Files of a pick in a run's folder are the pick with its reasons, its configuration, and what remakes it.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.confirm.twins import effort_of, tried
from bench.core.errors import UserError
from bench.core.objectives import Objective, outcomes_of, primary
from bench.core.plain import parse_toml, read_json
from bench.core.records import Point, TrialRecord
from bench.core.rows import CONFIRM, TEST
from bench.core.seeds import derive
from bench.core.validation import validate
from bench.data import Store
from bench.data.store import part_of
from bench.frontier.decision import Decision, decided
from bench.frontier.policy import Policy
from bench.frontier.serving import Serving, serving
from bench.frontier.verdict import Verdict
from bench.frontier.words.verdict import ACRONYMS
from bench.measure import predictions
from bench.measure.predictions import FOLDER, KEPT, KeptRows, read_rows, with_rates
from bench.results.drift import Change, changes
from bench.results.effect import Effect
from bench.results.frontier import frontier
from bench.results.fusion import Fusion, FusionKind, logged
from bench.results.points import confirmed, kept_names, parts_of, sources_of
from bench.results.served.measuring import Candidate, CurrentRanking
from bench.results.within import TaskAreas, areas_of, warning
from bench.runs.comparing import answer_of
from bench.runs.folder import CONFIG, DAYS, PICK, DatasetRun
from bench.runs.given import given_candidates, sentence, terms_of
from bench.runs.limits import cut_short, failed, unfinished
from bench.runs.suite import resolve_outcomes
from bench.search.study import Study
from bench.system.atomic import atomic_path

LOOKED_AT = 200_000
"""Rows of a split that are looked at for unseen values."""


def drift_of(result: DatasetResult) -> list[Change]:
    """What changed from confirmation rows to test; of unseen values only where the prepared data are still there."""
    folder = result.run.folder / FOLDER
    rows = {split: kept for split in (CONFIRM, TEST) if (kept := read_rows(folder, split)) is not None}
    if len(rows) < 2:
        return []
    said = None
    if result.decision.pick is not None:
        own = [each for each in candidates_of(folder, result.decision.frontier.points, result.objectives, rows[TEST])
               if each.id == result.decision.pick.point]  # fmt: skip
        said = {split: np.mean([own[0].predictions(split, run) for run in range(own[0].replicates)], axis=0)
                for split in rows} if own else None  # fmt: skip
    return changes(rows, said, _unseen(result.run.store))


def _unseen(store: Store | None) -> dict[str, dict[str, NDArray[Any]]]:
    if store is None:
        return {}
    unseen = dict[str, dict[str, NDArray[Any]]]()
    for split in (CONFIRM, TEST):
        data = part_of(store.split(split), LOOKED_AT)
        ids, at = data.ids, 0
        schema = store.schema.without_ranges
        for each, offset in zip(schema.fields, schema.offsets, strict=True):
            if each.of is None and each.slots == 1:
                unseen.setdefault(each.name, {})[split] = ids[:, at] == offset
            at += each.slots
    return unseen


@dataclass(frozen=True, kw_only=True)
class DatasetResult:
    """The results so far of one data set's part of a run.

    Attributes:
        areas: by id of a confirmed point its areas under the curve, where what is served is ranked within groups.
        tuning: a sentence on how much single-task models were tuned.
        incomplete: sentences where the time limit ended the search early, the run has not ended, or replicates failed.
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
        return self.decision.document | ({"incomplete": self.incomplete} if self.incomplete else {})

    @property
    def current(self) -> str:
        """What is compared with, how many rows it is measured on, and whose policy is followed, as sentences."""
        serving = self.decision.serving
        first = self.run.current.sentence
        if serving.served is not None and not serving.served.today:
            why = "" if self.run.current.source else ", as nobody said what is served (--current)"
            first = f"All are compared with {self.decision.against}{why}."
        return " ".join(filter(None, [first, self.tuning, sentence(self.run.given), serving.note, self.asked]))

    @property
    def asked(self) -> str:
        """Where the run follows another policy than the suite's, a sentence that says so; else empty."""
        followed = self.decision.policy.toml
        if followed == suite_policy(self.run).toml or followed != policy_of(self.run).toml:
            return ""
        policy = ", ".join(followed.splitlines())
        again = f"`seesaw pick {self.run.run.name} --save` without other options goes back to it"
        return f"The pick follows the last `seesaw pick --save`, not the suite's policy ({policy}); {again}."


def documents(results: Sequence[DatasetResult]) -> dict[str, Any]:
    """The documented shape for one result; for several, one such document each under `datasets`."""
    by_dataset = {result.run.key: result.document for result in results}
    return next(iter(by_dataset.values())) if len(by_dataset) == 1 else {"datasets": by_dataset}


def suite_policy(run: DatasetRun) -> Policy:
    """The suite's policy."""
    return validate(Policy, run.run.suite.policy, "policy")


def policy_of(run: DatasetRun) -> Policy:
    """The policy that every surface follows: that of `picked.json`, see `seesaw pick --save`, else the suite's."""
    if not (path := run.folder / PICK).is_file():
        return suite_policy(run)
    return validate(Policy, parse_toml(read_json(path)["policy"], str(path)), str(path))


def result_of(run: DatasetRun, policy: Policy | None = None, keep: bool = False) -> DatasetResult:
    """Reads the log and computes both fronts, the pick and the verdict; raises UserError if nothing was run yet.

    Args:
        policy: in place of that of `policy_of`.
        keep: whether to leave a served front that was not drawn before in the run's folder.
    """
    objectives = run.objectives
    study = Study.read(run.folder)
    records, baselines = study.records(), run.current.without_earlier(study.baselines())
    front = frontier(records, objectives, run.dataset.reference, seed=run.run.request.seed, baselines=baselines)
    front = replace(front, answer=answer_of(run, study))
    followed = policy or policy_of(run)
    areas = areas_of(front.points, [task for task in run.tasks if task.name in run.ranked])
    decision = decided(
        front, serving_of(run, front.points, objectives, followed, keep), followed, run.run.request.seed,
        lambda point: warning(areas, point, str(run.card.group)),
    )  # fmt: skip
    incomplete = [cut_short(run, study), unfinished(run, study), failed(run, records, baselines)]
    decision = replace(
        decision,
        verdict=_with_days(decision, run.folder / DAYS, [task.name for task in run.tasks]),
        terms=terms_of(run.given),
        test=lambda: read_rows(run.folder / FOLDER, TEST),
        units=run.card.units,
        group=run.card.group,
    )
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
    """The verdict, with what the run's last back-test says of what was picked; of another pick it says nothing."""
    pick = decision.pick
    if pick is None or pick.kind is None or pick.weights is None or not path.is_file():
        return decision.verdict
    days = read_json(path)
    fusion = Fusion.of(cast(FusionKind, pick.kind), [pick.weights.get(task, 0.0) for task in tasks])
    for name, served in days["served"].items():
        if name in days["points"] and served == [pick.point, fusion.kind, list(fusion.weights)]:
            average = days["points"][name]["average"]
            known = {end: math.nan if each is None else each for end, each in average.items()}
            return decision.verdict.by_days(days["sentences"][name][0], Effect(**known))
    return decision.verdict


def write_pick(result: DatasetResult) -> None:
    """Writes `picked.json`, with the reasons, `picked.toml`, the configuration and how it was trained, and
    `provenance.json`, what remakes it. The last two are of the pick in `picked.json` or absent: where the pick is no
    network, and where the program was killed in here.
    """
    path, made, network = result.run.folder / CONFIG, result.run.folder / "provenance.json", picked_network(result)
    texts = {}
    if network is not None and result.decision.pick is not None:
        values = network.config | recipe_of(result, network.until)
        lines = [f'"{name}" = {json.dumps(value)}' for name, value in values.items()]
        score = [
            f"# score = {formula}"
            for formula in result.decision.formulas[result.decision.pick.row : result.decision.pick.row + 1]
        ]
        texts[path] = "\n".join([f"# {network.name} of {result.run.run.name}", *score, *lines]) + "\n"
        texts[made] = json.dumps(provenance(result.run, result.run.fingerprint or "-", network, str(path)), indent=2)
    texts[result.run.folder / PICK] = json.dumps(result.decision.picked, indent=2)
    with ExitStack() as files:  # the last one is put in its place first
        for target, text in texts.items():
            files.enter_context(atomic_path(target)).write_text(text, encoding="utf-8")
        for each in (path, made):
            each.unlink(missing_ok=True)


def picked_network(result: DatasetResult) -> Point | None:
    """The point whose configuration is trained where the pick is deployed; None unless that is one network."""
    point = next(
        (
            each
            for each in result.decision.frontier.points
            if result.decision.pick and each.id == result.decision.pick.point
        ),
        None,
    )
    tasks = [task.name for task in result.run.tasks]
    parts = [] if point is None else parts_of(point, result.decision.frontier.points, tasks)
    return next((part for part, _ in parts if len(parts) == 1 and "sharing.kind" in part.config), None)


def recipe_of(result: DatasetResult, until: int | None = None) -> dict[str, object]:
    """Where `seesaw train` would by itself train otherwise than the search did; see `bench.training.config.Recipe`."""
    tasks = result.run.tasks
    objectives = [objective.name for objective in result.objectives]
    recipe: dict[str, object] = {}
    if until is not None:
        recipe["training.until"] = until
    if [task.name for task in tasks] != list(result.run.card.default_tasks):
        recipe["training.tasks"] = [task.name for task in tasks]
    if objectives != [primary(task, task.name in result.run.ranked) for task in tasks]:
        recipe["training.objectives"] = objectives
    return recipe


def provenance(part: DatasetRun, fingerprint: str, point: Point, config: str) -> dict[str, object]:
    """The document `provenance.json`.

    Args:
        point: the network that is trained where the pick is deployed.
        config: path of the picked configuration, in the form that `seesaw train --config` takes.
    """
    manifest, request = part.run.manifest, part.run.request

    def command(seed: int) -> str:
        words = ["seesaw", "train", part.key, "--config", config, "--seed", str(seed)]
        words += ["--threads", str(request.threads), "--home", str(part.run.home)]
        words += [] if request.device == "auto" else ["--device", request.device]
        return shlex.join([*words, *(["--raw", str(request.raw)] if request.raw else [])])

    own = {objective.name for objective in part.objectives}
    names = {
        key for run in point.replicates for key in run.metrics
    }  # outcomes of heads, which `train` does not measure
    served = {key for key in names if outcomes_of([key.partition("/")[2]]) and key.partition("/")[2] not in own}

    def training(replicate: int, seed: int, metrics: dict[str, float]) -> dict[str, object]:
        measured = {key: value for key, value in metrics.items() if not key.startswith("cost/") and key not in served}
        return {"replicate": replicate, "seed": seed, "metrics": measured, "command": command(seed)}

    trainings = []
    if point.number is not None:
        trainings = [training(0, derive(request.seed, point.number, 0), point.metrics)]
    trainings += [training(run.replicate, run.seed, run.metrics) for run in point.replicates if run.failure is None]
    return {
        "run": part.run.name,
        "suite": request.suite,
        "data": {"key": part.key, "fingerprint": fingerprint},
        "point": point.id,
        "trial": point.number,
        "until": point.until,
        "config": point.config,
        "seed": request.seed,
        "versions": manifest.versions,
        "search": manifest.command,
        "trainings": trainings,
        "command": trainings[-1]["command"],
    }


def tuning_of_single_task(study: Study, records: Sequence[TrialRecord]) -> str:
    """A sentence on how much single-task models were tuned; empty without twins, see `bench.confirm.twins`."""
    effort = effort_of(records, len(tried(study, records)))
    if not effort.twins:
        return ""
    kind = ACRONYMS.get(effort.kind, effort.kind.replace("_", "-"))
    return (
        f"Single-task models were tuned by {effort.alone:.1f} full lengths of training, {effort.twins} of them with "
        f"settings of the best models that share; {kind}, the way of sharing with most, by {effort.most:.1f}."
    )


NOT_CONFIRMED = "nothing was confirmed on fresh seeds"


def serving_of(
    part: DatasetRun, points: Sequence[Point], objectives: Sequence[Objective], policy: Policy, keep: bool
) -> Serving:
    """Draws the served front of a run's confirmed points, or reads the one that was drawn of the same predictions.

    Args:
        objectives: of the heads: the best single-task models are the best by these.
        policy: weights are chosen for it. If it names an outcome that is not the suite's, the front is drawn again, in
            that outcome.
        keep: whether to leave what was drawn in the run's folder.
    """
    ranked = ranked_by(part, points, objectives)
    if ranked is None:
        return Serving(None, {}, "", NOT_CONFIRMED)
    rows, candidates = ranked.rows, ranked.candidates
    facts, now = rows[CONFIRM], ranked.current
    if now is None or not candidates:
        rates = dict(zip(facts.tasks, facts.rates, strict=True))
        return Serving(None, rates, "", "no confirmed model keeps its predictions; `seesaw confirm` trains it again")

    def outcomes() -> Sequence[Objective]:
        return resolve_outcomes(part.dataset, part.tasks, facts.group, policy.outcomes, part.card, bool(policy.values))

    return serving(
        candidates, rows, now, ranked.against, policy, outcomes, part.run.request.seed, part.folder, keep,
        named=bool(part.dataset.outcomes), forward=bool(part.card.split_times),
    )  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """Everything that ranks the rows of a run whose predictions are kept.

    Attributes:
        rows: by split.
        candidates: confirmed points, models from elsewhere, and today's score where that is a column of the log.
        current: what all are compared with, and `against` what that is in words; None where nothing was confirmed.
    """

    rows: Mapping[str, KeptRows]
    candidates: list[Candidate]
    current: CurrentRanking | None
    against: str


def ranked_by(part: DatasetRun, points: Sequence[Point], objectives: Sequence[Objective]) -> Ranked | None:
    """Everything that ranks the rows of a run; None where no rows are kept, as nothing was confirmed."""
    folder = part.folder / FOLDER
    kept: dict[str, KeptRows] = {split: own for split in KEPT if (own := read_rows(folder, split)) is not None}
    if len(kept) < len(KEPT):
        return None
    rows = with_rates(kept)
    candidates = candidates_of(folder, points, objectives, rows[CONFIRM])
    current, against = _current(part, candidates, rows)
    if candidates:
        candidates += given_candidates(part.given, rows)
    return Ranked(rows, candidates, current, against)


def candidates_of(
    folder: Path, points: Sequence[Point], objectives: Sequence[Objective], rows: KeptRows
) -> list[Candidate]:
    """The confirmed points whose predictions are there. Rows of a replicate that failed or is gone are left out."""
    sources = sources_of(points, objectives)
    candidates = []
    for point in filter(confirmed, points):
        seeds, files = [], []
        for run in point.replicates:
            names = [predictions.name_of(point.training, run.replicate)]
            if point.kind == "single_task":
                names = kept_names(sources, rows.tasks, run.seed) or []
            there = (predictions.path(folder, split, name).is_file() for name in names for split in KEPT)
            if run.failure is None and names and all(there):
                seeds.append(run.seed)
                files.append(names)
        if seeds:
            read, digest = _reader(folder, files), _digests(folder, files)
            facts = point.id, point.name, point.architecture, point.role
            candidates.append(Candidate(*facts, tuple(seeds), read, digest))
    return candidates


def _reader(folder: Path, files: Sequence[Sequence[str]]) -> Callable[[str, int], NDArray[Any]]:
    """Reads the predictions of a replicate by its place; several files have a column each."""

    def read(split: str, place: int) -> NDArray[Any]:
        names = files[place]
        values = predictions.predictions(folder, split, names[0])
        values = values if len(names) == 1 else predictions.joined(folder, split, names)
        if values is None:
            raise UserError(f"{folder}: expected the predictions {names[0]}.{split}.npy, found none")
        return values

    return read


def _digests(folder: Path, files: Sequence[Sequence[str]]) -> Callable[[str, int], bytes]:
    """The digests that the files of a replicate end with."""
    return lambda split, place: b"".join(predictions.kept_digest(folder, split, name) for name in files[place])


def _current(
    part: DatasetRun, candidates: list[Candidate], rows: Mapping[str, KeptRows]
) -> tuple[CurrentRanking | None, str]:
    """The current point among the candidates, and what it is; a column of the log joins them here."""
    now, ids = part.current, [each.id for each in candidates]
    tasks = rows[CONFIRM].tasks
    if now.column is not None:
        name, column = f"today's score, column '{now.column}'", now.column

        def read(split: str, place: int) -> NDArray[Any]:
            return logged(rows[split].logged[column])[:, None]

        of_rows = Candidate(now.id, name, "logged score", "current", (), read, lambda split, place: column.encode())
        candidates.append(of_rows)
        lacking = float(np.isnan(rows[TEST].logged[column]).mean())
        few = f" ({lacking:.1%} of test's rows lack it and rank last)" if lacking else ""
        return CurrentRanking(now.id), name + few
    if now.id in ids:
        if now.point is None:
            return CurrentRanking(now.id, today=False), "the best single-task models at their best weights"
        fusion = now.fusion(dict(zip(tasks, rows[CONFIRM].rates, strict=True)))
        return CurrentRanking(now.id, fusion), (f"the current model ({now.source})")
    stands = next((each for each in candidates if each.role == "baseline"), candidates[0] if candidates else None)
    if stands is None:
        return None, ""
    missing = f"{now.source} was not" if now.source else "no single-task model was"
    called = f"the baseline '{stands.name}' at its best weights ({missing} confirmed)"
    return CurrentRanking(stands.id, today=False), called
