"""What a run gives back to whoever brought the trainer: how to train the pick, and how to rank.

handover/
    README.md         what it is, the command that trains it, and the formula
    job.json          the order for the last training: all settings, rows of train
    trainer.toml      the trainer's file as the run used it
    ranking.json      the formula (also in SQL and Python), calibrations, digests of the program
    policy.toml       by which it was picked
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from bench.app.runs.deployment import Deployment
from bench.app.runs.ranked import ranked_by
from bench.core.errors import UserError
from bench.core.formula import read
from bench.core.formula_languages import LANGUAGES
from bench.core.records import Job, Point
from bench.core.rows import CONFIRM
from bench.core.seeds import derive
from bench.core.system.atomic import atomic_folder
from bench.ledger.served.measuring import Candidate
from bench.measure.predictions import KeptRows
from bench.models.trainers.handing import TRAINERS, HandedTrainer, order_of
from bench.models.trainers.trainer_file import FILE
from bench.serve.calibration_maps import fit_auto

HANDOVER = "handover"


def hand_over_pick(deployment: Deployment) -> Path:
    """Writes the folder, and returns it.

    Raises:
        UserError: the trainer's program changed since the run began.
    """
    part = deployment.part
    point = deployment.point
    trainer = HandedTrainer.open(part.folder.resolve() / TRAINERS / point.trainer)
    target = part.folder.resolve() / HANDOVER
    ranking = _ranking(deployment, trainer)
    with atomic_folder(target) as folder:
        job = _last_job(deployment, trainer, target)
        (folder / "job.json").write_text(json.dumps(job, indent=1), encoding="utf-8")
        text = (trainer.folder / FILE).read_text(encoding="utf-8")
        (folder / FILE).write_text(text, encoding="utf-8")
        (folder / "ranking.json").write_text(json.dumps(ranking, indent=1), encoding="utf-8")
        (folder / "policy.toml").write_text(deployment.policy.toml, encoding="utf-8")
        (folder / "README.md").write_text(_readme(deployment, trainer, target), encoding="utf-8")
        (folder / "model").mkdir()
    return target


def formula_of(deployment: Deployment) -> str:
    """The formula that ranks rows by the deployed point's predictions."""
    return deployment.result.decision.formulas[deployment.pick.row]


def command_of(trainer: HandedTrainer, target: Path) -> str:
    """The command that trains the pick, ready to paste."""
    file = trainer.file
    if file.function:
        return f"{file.function}(config, seed, train, rows), as job.json says"
    words = shlex.join([*file.command, str(target / "job.json")])
    return f"cd {shlex.quote(file.folder)} && {words}"


def _last_job(deployment: Deployment, trainer: HandedTrainer, target: Path) -> dict[str, Any]:
    point = deployment.point
    store = deployment.part.store
    if store is None:
        raise UserError(f"{deployment.part.run.name}: expected its prepared data, found none")
    job = Job(
        trial=point.number,
        replicate=0,
        config=point.config,
        store=str(store.path),
        seed=derive(deployment.seed, "deploy"),
        splits=(),
        objectives=(),
        tasks=tuple(task.name for task in deployment.part.tasks),
        threads=1,
        until=point.until,
    )
    order = order_of(job, trainer, store.schema)
    return order | {
        "go_on_from": None,
        "keep": str(target / "model"),
        "rows": {split: str(trainer.rows / f"{split}.parquet") for split in ("train", "valid")},
        "answer": {},
        "costs": str(target / "answer.json"),
    }


def _ranking(deployment: Deployment, trainer: HandedTrainer) -> dict[str, Any]:
    decision = deployment.result.decision
    formula = formula_of(deployment)
    parsed = read(formula, "the score")
    return {
        "formula": formula,
        **{name: write(parsed) for name, write in LANGUAGES.items()},
        "predictions": "of each task on all rows, together with its parents",
        "calibrations": _calibrations(deployment),
        "verdict": decision.verdict.sentence,
        "program": trainer.facts.digests,
    }


def _calibrations(deployment: Deployment) -> dict[str, Any]:
    """A calibration of each binary task's predictions, by confirmation rows of all trainings."""
    result = deployment.result
    points = result.decision.frontier.points
    ranked = ranked_by(deployment.part, points, result.objectives)
    if ranked is None:
        return {}
    candidate = _candidate_of(deployment.point, ranked.candidates)
    if candidate is None:
        return {}
    rows: KeptRows = ranked.rows[CONFIRM]
    trainings = [
        candidate.predictions(CONFIRM, training) for training in range(candidate.replicates)
    ]
    predicted = np.mean(trainings, axis=0)
    calibrations = {}
    for number, task in enumerate(deployment.part.tasks):
        labels = rows.labels[:, number]
        known = np.isfinite(labels)
        if task.kind == "binary" and known.any():
            fitted = fit_auto(predicted[known, number], labels[known])
            calibrations[task.name] = fitted.model_dump(mode="json", exclude_unset=True)
    return calibrations


def _candidate_of(point: Point, candidates: list[Candidate]) -> Candidate | None:
    return next((candidate for candidate in candidates if candidate.id == point.id), None)


def _readme(deployment: Deployment, trainer: HandedTrainer, target: Path) -> str:
    decision = deployment.result.decision
    settings = settings_in_words(deployment)
    digests = [f"* `{path}` sha256 `{digest}`" for path, digest in trainer.facts.digests.items()]
    lines = [
        f"# {trainer.file.name}: {deployment.pick.name}",
        "",
        decision.verdict.sentence,
        "",
        "## Train it",
        "",
        f"    {command_of(trainer, target)}",
        "",
        f"Settings: {settings}. Your program leaves the model in the folder `keep` of job.json.",
        "",
        "## Rank by it",
        "",
        f"    {formula_of(deployment)}",
        "",
        "`ranking.json` has the same in SQL and Python, and calibrations of each prediction, which",
        "are of confirmation rows.",
        "",
        "## The program that was judged",
        "",
        *digests,
        "",
    ]
    return "\n".join(lines)


def settings_in_words(deployment: Deployment) -> str:
    """The settings of the pick, as a sentence lists them."""
    prefix = f"trainer.{deployment.point.trainer}."
    settings = [
        f"{name.removeprefix(prefix)} = {value}"
        for name, value in deployment.point.config.items()
        if name.startswith(prefix)
    ]
    return ", ".join(settings) or "none"
