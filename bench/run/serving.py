"""A run's served front, from the predictions that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import predictions
from bench.errors import UserError
from bench.frontier.policy import Policy
from bench.frontier.serving import Serving, serving
from bench.objectives import Objective
from bench.predictions import FOLDER, KEPT, Rows, rows_of
from bench.records import Point
from bench.results.points import confirmed, kept_names, sources_of
from bench.results.served.measuring import Candidate, Current
from bench.rows import CONFIRM, TEST
from bench.run.folder import DatasetRun
from bench.suite import resolve_outcomes

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
    folder = part.folder / FOLDER
    rows: dict[str, Rows] = {split: found for split in KEPT if (found := rows_of(folder, split)) is not None}
    if len(rows) < len(KEPT):
        return Serving(None, {}, "", NOT_CONFIRMED)
    facts = rows[CONFIRM]
    candidates = candidates_of(folder, points, objectives, facts)
    now, against = _current(part, candidates, rows)
    if now is None or not candidates:
        rates = dict(zip(facts.tasks, facts.rates, strict=True))
        return Serving(None, rates, "", "no confirmed model keeps its predictions; `seesaw confirm` trains it again")

    def outcomes() -> Sequence[Objective]:
        return resolve_outcomes(part.dataset, part.tasks, facts.group, policy.outcomes)

    return serving(
        candidates, rows, now, against, policy, outcomes, part.run.request.seed, part.folder, keep,
        named=bool(part.dataset.outcomes), forward=bool(part.card.split_times),
    )  # fmt: skip


def candidates_of(
    folder: Path, points: Sequence[Point], objectives: Sequence[Objective], rows: Rows
) -> list[Candidate]:
    """The confirmed points whose predictions are there. Rows of a replicate that failed or is gone are left out."""
    sources = sources_of(points, objectives)
    found = []
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
            found.append(Candidate(*facts, tuple(seeds), read, digest))
    return found


def _reader(folder: Path, files: Sequence[Sequence[str]]) -> Callable[[str, int], NDArray[Any]]:
    """Reads the predictions of a replicate by its place; several files have a column each."""

    def read(split: str, place: int) -> NDArray[Any]:
        names = files[place]
        found = predictions.predictions(folder, split, names[0])
        found = found if len(names) == 1 else predictions.joined(folder, split, names)
        if found is None:
            raise UserError(f"{folder}: expected the predictions {names[0]}.{split}.npy, found none")
        return found

    return read


def _digests(folder: Path, files: Sequence[Sequence[str]]) -> Callable[[str, int], bytes]:
    """The digests that the files of a replicate end with."""
    return lambda split, place: b"".join(predictions.kept_digest(folder, split, name) for name in files[place])


def _current(part: DatasetRun, candidates: list[Candidate], rows: Mapping[str, Rows]) -> tuple[Current | None, str]:
    """The current point among the candidates, and what it is; a column of the log joins them here."""
    now, ids = part.current, [each.id for each in candidates]
    tasks = rows[CONFIRM].tasks
    if now.column is not None:
        name, column = f"today's score, column '{now.column}'", now.column

        def logged(split: str, place: int) -> NDArray[Any]:
            values = rows[split].logged[column].astype(np.float64)
            least = float(np.nanmin(values)) if np.isfinite(values).any() else 0.0
            return np.nan_to_num(values, nan=least - 1.0)[:, None]  # a row without a score was ranked last

        of_rows = Candidate(now.id, name, "logged score", "current", (), logged, lambda split, place: column.encode())
        candidates.append(of_rows)
        lacking = float(np.isnan(rows[TEST].logged[column]).mean())
        return Current(now.id), name + (f" ({lacking:.1%} of test's rows lack it and rank last)" if lacking else "")
    if now.id in ids:
        if now.point is None:
            return Current(now.id, today=False), "the best single-task models at their best weights"
        fusion = now.fusion(dict(zip(tasks, rows[CONFIRM].rates, strict=True)))
        return Current(now.id, fusion), (f"the current model ({now.source})")
    stands = next((each for each in candidates if each.role == "baseline"), candidates[0] if candidates else None)
    if stands is None:
        return None, ""
    missing = f"{now.source} was not" if now.source else "no single-task model was"
    return Current(stands.id, today=False), f"the baseline '{stands.name}' at its best weights ({missing} confirmed)"
