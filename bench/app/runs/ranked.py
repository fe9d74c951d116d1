"""What ranks the rows of a run, confirmed points, models from elsewhere and today's score, and its
served front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.app.runs.folder import DatasetRun
from bench.app.runs.given import given_candidates
from bench.app.runs.suite_objectives import resolve_outcomes
from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Point
from bench.core.rows import CONFIRM, TEST
from bench.deciding.policy import Policy
from bench.deciding.serving import Serving, serving
from bench.ledger.fusion import logged
from bench.ledger.points import confirmed, kept_names, sources_of
from bench.ledger.served.measuring import Candidate, CurrentRanking
from bench.measure import predictions
from bench.measure.predictions import FOLDER, KEPT, KeptRows, read_rows, with_rates

NOT_CONFIRMED = "nothing was confirmed on fresh seeds"


def serving_of(
    part: DatasetRun,
    points: Sequence[Point],
    objectives: Sequence[Objective],
    policy: Policy,
    keep: bool,
) -> Serving:
    """Draws the served front of a run's confirmed points, or reads the one that was drawn of the
    same predictions.

    Args:
        objectives: of the heads: the best single-task models are the best by these.
        policy: weights are chosen for it. If it names an outcome that is not the suite's, the front
            is drawn again, in that outcome.
        keep: whether to leave what was drawn in the run's folder.
    """
    ranked = ranked_by(part, points, objectives)
    if ranked is None:
        return Serving(None, {}, "", NOT_CONFIRMED)
    rows = ranked.rows
    candidates = ranked.candidates
    confirmation = rows[CONFIRM]
    current = ranked.current
    if current is None or not candidates:
        rates = dict(zip(confirmation.tasks, confirmation.rates, strict=True))
        reason = "no confirmed model keeps its predictions; `seesaw run RUN` trains it again"
        return Serving(None, rates, "", reason)

    def outcomes() -> Sequence[Objective]:
        return resolve_outcomes(
            part.dataset,
            part.tasks,
            confirmation.group,
            policy.outcomes,
            part.card,
            bool(policy.values),
        )

    return serving(
        candidates,
        rows,
        current,
        ranked.against,
        policy,
        outcomes,
        part.run.request.seed,
        part.folder,
        keep,
        named=bool(part.dataset.outcomes),
        forward=bool(part.card.split_times),
    )


@dataclass(frozen=True)
class Ranked:
    """Everything that ranks the rows of a run whose predictions are kept.

    Attributes:
        rows: by split.
        candidates: confirmed points, models from elsewhere, and today's score where that is a
            column of the log.
        current: what all are compared with, and `against` what that is in words; None where nothing
            was confirmed.
    """

    rows: Mapping[str, KeptRows]
    candidates: list[Candidate]
    current: CurrentRanking | None
    against: str


def ranked_by(
    part: DatasetRun, points: Sequence[Point], objectives: Sequence[Objective]
) -> Ranked | None:
    """Everything that ranks the rows of a run; None where no rows are kept, as nothing was
    confirmed.
    """
    folder = part.folder / FOLDER
    rows: dict[str, KeptRows] = {}
    for split in KEPT:
        of_split = read_rows(folder, split)
        if of_split is None:
            return None
        rows[split] = of_split
    rows = with_rates(rows)
    candidates = candidates_of(folder, points, objectives, rows[CONFIRM])
    current, against = _current(part, candidates, rows)
    if candidates:
        candidates += given_candidates(part.given, rows)
    return Ranked(rows, candidates, current, against)


def candidates_of(
    folder: Path, points: Sequence[Point], objectives: Sequence[Objective], rows: KeptRows
) -> list[Candidate]:
    """The confirmed points whose predictions are there. Rows of a replicate that failed or is gone
    are left out.
    """
    sources = sources_of(points, objectives)
    candidates = []
    for point in filter(confirmed, points):
        seeds = []
        files = []
        for run in point.replicates:
            names = [predictions.name_of(point.training, run.replicate)]
            if point.kind == "single_task":
                names = kept_names(sources, rows.tasks, run.seed) or []
            there = (
                predictions.path(folder, split, name).is_file() for name in names for split in KEPT
            )
            if run.failure is None and names and all(there):
                seeds.append(run.seed)
                files.append(names)
        if seeds:
            read = _reader(folder, files)
            digest = _digests(folder, files)
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
            raise UserError(
                f"{folder}: expected the predictions {names[0]}.{split}.npy, found none"
            )
        return values

    return read


def _digests(folder: Path, files: Sequence[Sequence[str]]) -> Callable[[str, int], bytes]:
    """The digests that the files of a replicate end with."""
    return lambda split, place: b"".join(
        predictions.kept_digest(folder, split, name) for name in files[place]
    )


def _current(
    part: DatasetRun, candidates: list[Candidate], rows: Mapping[str, KeptRows]
) -> tuple[CurrentRanking | None, str]:
    """The current point among the candidates, and what it is; a column of the log joins them
    here.
    """
    current = part.current
    if current.column is not None:
        candidates.append(_score_of_log(current.id, current.column, rows))
        lacking = float(np.isnan(rows[TEST].logged[current.column]).mean())
        words = f"today's score, column '{current.column}'"
        if lacking:
            words += f" ({lacking:.1%} of test's rows lack it and rank last)"
        return CurrentRanking(current.id), words
    if current.id in [candidate.id for candidate in candidates]:
        if current.point is None:
            words = "the best single-task models at their best weights"
            return CurrentRanking(current.id, today=False), words
        rates = dict(zip(rows[CONFIRM].tasks, rows[CONFIRM].rates, strict=True))
        ranking = CurrentRanking(current.id, current.fusion(rates))
        return ranking, f"the current model ({current.source})"
    if not candidates:
        return None, ""
    baselines = (candidate for candidate in candidates if candidate.role == "baseline")
    stands_for_it = next(baselines, candidates[0])
    missing = f"{current.source} was not" if current.source else "no single-task model was"
    words = f"the baseline '{stands_for_it.name}' at its best weights ({missing} confirmed)"
    return CurrentRanking(stands_for_it.id, today=False), words


def _score_of_log(id: str, column: str, rows: Mapping[str, KeptRows]) -> Candidate:
    def read(split: str, place: int) -> NDArray[Any]:
        return logged(rows[split].logged[column])[:, None]

    def digest(split: str, place: int) -> bytes:
        return column.encode()

    name = f"today's score, column '{column}'"
    return Candidate(id, name, "logged score", "current", (), read, digest)
