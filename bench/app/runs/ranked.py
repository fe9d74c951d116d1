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
from bench.app.runs.suite import resolve_outcomes
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
    rows, candidates = ranked.rows, ranked.candidates
    facts, now = rows[CONFIRM], ranked.current
    if now is None or not candidates:
        rates = dict(zip(facts.tasks, facts.rates, strict=True))
        return Serving(
            None,
            rates,
            "",
            "no confirmed model keeps its predictions; `seesaw confirm` trains it again",
        )

    def outcomes() -> Sequence[Objective]:
        return resolve_outcomes(
            part.dataset, part.tasks, facts.group, policy.outcomes, part.card, bool(policy.values)
        )

    return serving(
        candidates,
        rows,
        now,
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
    kept: dict[str, KeptRows] = {
        split: own for split in KEPT if (own := read_rows(folder, split)) is not None
    }
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
    """The confirmed points whose predictions are there. Rows of a replicate that failed or is gone
    are left out.
    """
    sources = sources_of(points, objectives)
    candidates = []
    for point in filter(confirmed, points):
        seeds, files = [], []
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
    now, ids = part.current, [each.id for each in candidates]
    tasks = rows[CONFIRM].tasks
    if now.column is not None:
        name, column = f"today's score, column '{now.column}'", now.column

        def read(split: str, place: int) -> NDArray[Any]:
            return logged(rows[split].logged[column])[:, None]

        of_rows = Candidate(
            now.id, name, "logged score", "current", (), read, lambda split, place: column.encode()
        )
        candidates.append(of_rows)
        lacking = float(np.isnan(rows[TEST].logged[column]).mean())
        few = f" ({lacking:.1%} of test's rows lack it and rank last)" if lacking else ""
        return CurrentRanking(now.id), name + few
    if now.id in ids:
        if now.point is None:
            return CurrentRanking(
                now.id, today=False
            ), "the best single-task models at their best weights"
        fusion = now.fusion(dict(zip(tasks, rows[CONFIRM].rates, strict=True)))
        return CurrentRanking(now.id, fusion), (f"the current model ({now.source})")
    stands = next(
        (each for each in candidates if each.role == "baseline"),
        candidates[0] if candidates else None,
    )
    if stands is None:
        return None, ""
    missing = f"{now.source} was not" if now.source else "no single-task model was"
    called = f"the baseline '{stands.name}' at its best weights ({missing} confirmed)"
    return CurrentRanking(stands.id, today=False), called
