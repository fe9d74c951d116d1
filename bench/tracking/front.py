"""What came of a search, on its parent run and its trials: front, pick, page."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from bench.frontier.frontier import Frontier
from bench.frontier.pick import Pick
from bench.tracking import values
from bench.tracking.parent import Parent
from bench.tracking.values import Point
from bench.tracking.volumes import HYPERVOLUME

TABLE = "frontier.json"
DIGEST = "seesaw.front_digest"


def log_front(parent: Parent, frontier: Frontier, pick: Pick | None, page: Path | None, when: float = 0.0) -> None:
    """Logs who is on the front and who is picked, the frontier as a table (JSON and parquet), and the page.

    On the trials: tags `front.on_front` and `seesaw.picked` ("true" or "false"), `front.rank` and
    `front.p_nondominated` ("none" where it was not compared), and as metrics replicate means and deviations, and
    `front.p_nondominated`. On the parent also objectives and reference, so that fronts of several runs can be merged.
    Points of the hypervolume by trial that are not there are filled in. A front that is there already, with the same
    page, is not sent again.

    Args:
        when: time of the values, in seconds since 1970; the same where it is tried again. 0 is the run's beginning.

    Raises:
        TrackingError: the store cannot be reached.
    """
    if "samples" not in frontier.history:  # by rungs, it is by samples and logged job by job
        history = frontier.history.itertuples(index=False)
        parent.log_volumes([Point(HYPERVOLUME, float(value), int(trial)) for trial, value in history])

    placed = values.front_of(frontier, pick)
    for number, node in parent.nested.trials().items():
        points, tags = placed.get(number, ([], values.UNPLACED))
        node.update([point._replace(time=when) for point in points], tags)
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder), frontier, pick)
        digest = _digest(frontier, pick, page)
        if parent.node.tags.get(DIGEST) != digest:
            parent.node.add_files(files)
            if page:
                parent.node.add_files(page)
            parent.sent["fronts"] += 1
    parent.node.update(
        [
            Point("front.hypervolume", frontier.hypervolume, time=when),
            Point("front.size", float(frontier.table["on_front"].sum()), time=when),
        ],
        {
            "seesaw.picked": pick.point if pick else "none",
            "seesaw.pick_reason": (pick.reason if pick else "none")[: values.LONGEST_TAG],
            "seesaw.pick_by_rule": _by_rule(pick),
            "seesaw.answer": (frontier.answer.sentence if frontier.answer else "none")[: values.LONGEST_TAG],
            "mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}]),  # shows it as a table
            **values.front_tags(frontier),
            DIGEST: digest,
        },
    )


def _by_rule(pick: Pick | None) -> str:
    """In which share of retrainings the pick holds, as far as that is known."""
    holds = pick.stability.holds if pick else None
    return "unknown" if holds is None else f"{holds:.2f}"


def _written(files: Path, frontier: Frontier, pick: Pick | None) -> Path:
    frontier.write(files)
    (files / TABLE).write_text(frontier.table.to_json(orient="split", index=False), encoding="utf-8")
    (files / "front.json").write_text(json.dumps(frontier.to_json(), indent=2), encoding="utf-8")
    if pick:
        (files / "picked.json").write_text(json.dumps(pick.to_json(), indent=2), encoding="utf-8")
    return files


def _digest(frontier: Frontier, pick: Pick | None, page: Path | None) -> str:
    """Of what the files say; parquet's bytes also depend on its library's version."""
    digest = hashlib.sha256(frontier.table.to_json(orient="split", index=False).encode())
    digest.update(json.dumps([frontier.to_json(), pick.to_json() if pick else None], default=str).encode())
    digest.update(page.read_bytes() if page else b"")
    return digest.hexdigest()
