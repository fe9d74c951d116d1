"""Sends a search's results to its parent run and its trials: verdict, fronts, pick, page."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.frontier.frontier import Frontier
from bench.frontier.pick import Pick
from bench.fusion import in_words
from bench.rows import TEST
from bench.tracking import values
from bench.tracking.runs import Parent
from bench.tracking.values import VIEW, Point, outward

if TYPE_CHECKING:
    from bench.frontier.served.served import Served

SERVED, TABLE, PICTURE = "serving_front.json", "frontier.json", "front.svg"
DIGEST, VERDICT = "seesaw.front_digest", "seesaw.verdict"
CHOSEN = "chosen/"
"""Metrics of the pick on the parent; charts of this name come before all others."""


@dataclass(frozen=True)
class Found:
    """The results of a search.

    Attributes:
        page: a file.
        picture: of the front, as SVG; empty without one.
        verdict: `kind` and `sentence`.
        commands: what a user may type next.
        policy: by which it is picked, as TOML.
        note: where that is not the suite's, a sentence that says so.
    """

    frontier: Frontier
    pick: Pick | None = None
    page: Path | None = None
    picture: str = ""
    verdict: Mapping[str, Any] | None = None
    served: Served | None = None
    commands: tuple[str, ...] = ()
    policy: str = ""
    note: str = ""

    @property
    def sentence(self) -> str:
        """The verdict, or without one why the pick is picked."""
        if self.verdict is not None:
            return str(self.verdict["sentence"])
        return self.pick.reason if self.pick else "Nothing is picked."


def log_front(parent: Parent, found: Found, when: float = 0.0) -> None:
    """Logs the verdict, who is on the front and who is picked, both fronts as tables, their picture, and the page.

    On the trials: tags `front.on_front` and `seesaw.picked` ("true" or "false"), `front.rank` and
    `front.p_nondominated` ("none" where it was not compared), and as metrics replicate means and deviations, and
    `front.p_nondominated`. On the parent the description, `seesaw.verdict`, the pick's outcomes as `chosen/<outcome>`,
    and objectives and reference, so that fronts of several runs can be merged. A front that is
    there already, with the same page, is not sent again.

    Args:
        when: time of the values, in seconds since 1970; the same where it is tried again. 0 is the run's beginning.

    Raises:
        TrackingError: the store cannot be reached.
    """
    frontier, pick, node, ask = found.frontier, found.pick, parent.node, parent.store.ask
    placed = values.front_of(frontier, pick)
    for number, trial in parent.trials.items():
        points, tags = placed.get(number, ([], values.UNPLACED))
        trial.send([point._replace(time=when) for point in points], tags=tags)
    files = _files(found)
    digest = hashlib.sha256(b"\n".join(name.encode() + b"\n" + content for name, content in files.items())).hexdigest()
    if node.tags.get(DIGEST) != digest:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():  # one of the same name is replaced
                file = Path(folder, name)
                file.write_bytes(content)
                ask(f"store {name} with the run '{node.name}'", methodcaller("log_artifact", node.run_id, str(file)))
        parent.sent["fronts"] += 1
    chosen, holds = _chosen(found), pick.stability.holds if pick else None
    node.send(
        [
            *(Point(f"{CHOSEN}{name}", value, time=when) for name, value in chosen.items()),
            Point("front.hypervolume", frontier.hypervolume, time=when),
            Point("front.size", float(frontier.table["on_front"].sum()), time=when),
        ],
        tags={
            "mlflow.note.content": _description(parent, found),
            VERDICT: str(found.verdict["kind"]) if found.verdict else "none",
            "seesaw.picked": pick.point if pick else "none",
            "seesaw.pick_reason": (pick.reason if pick else "none")[: values.LONGEST_TAG],
            "seesaw.pick_by_rule": "unknown" if holds is None else f"{holds:.2f}",
            "seesaw.answer": (frontier.answer.sentence if frontier.answer else "none")[: values.LONGEST_TAG],
            # MLflow shows these as tables
            "mlflow.loggedArtifacts": json.dumps(
                [{"path": name, "type": "table"} for name in (SERVED, TABLE) if name in files]
            ),
            **values.front_tags(frontier),
            DIGEST: digest,
        },
    )
    shown = [f"tags.`{VERDICT}`", "tags.`seesaw.picked`"]  # the columns of the runs table: few, and what decides
    shown += [f"metrics.`{outward(CHOSEN + name)}`" for name in chosen if not name.endswith(".gain")]
    state = json.dumps({"selectedColumns": shown})
    view = methodcaller("set_experiment_tag", parent.experiment, f"mlflow.sharedViewState.{VIEW}", state)
    ask(f"store the view '{VIEW}'", view)


def _chosen(found: Found) -> dict[str, float]:
    """The pick's values by outcome and its gains over the current point, as fractions of that, both on test; without a
    served front its head metrics on the frontier's split."""
    pick, served, split = found.pick, found.served, found.frontier.split
    if pick is None:
        return {}
    chosen = dict(pick.outcomes) or {
        each.name: pick.metrics[each.key(split)]
        for each in found.frontier.objectives
        if each.key(split) in pick.metrics
    }
    gains = {}
    same = (pick.point, pick.kind, pick.weights)
    for row in served.table.to_dict("records") if served else ():
        if served and (row["point"], row["kind"], row["weights"]) == same:
            chosen |= {each.name: float(row[f"{TEST}/{each.name}"]) for each in served.outcomes}
            gains = {f"{each.name}.gain": float(row[f"{TEST}/{each.name}.gain"]) for each in served.outcomes}
    return {name: value for name, value in (chosen | gains).items() if value == value}


def _description(parent: Parent, found: Found) -> str:
    """The run's description, in Markdown."""
    at, run = parent.experiment, parent.node.run_id
    files = f"#/experiments/{at}/runs/{run}/artifacts"
    front = SERVED if found.served else TABLE
    links = [f"[{'served front' if found.served else 'front'}]({files}/{front})"]
    links += [f"[front of heads]({files}/{TABLE})"] if found.served else []
    links += [f"[page]({files}/{found.page.name})"] if found.page else []
    links += [f"[pick]({files}/picked.json)"] if found.pick else []
    parts = [
        f"**{found.sentence}**",
        " · ".join(links),
        f"![front](get-artifact?path={PICTURE}&run_uuid={run})" if found.picture else "",
        f"{found.pick.reason}" if found.pick and found.verdict else "",
        found.note,
        "\n".join(f"- `{command}`" for command in found.commands),  # a block of code would widen the page
    ]
    return "\n\n".join(part for part in parts if part)[: values.LONGEST_TAG]


def _files(found: Found) -> dict[str, bytes]:
    """The artifacts by name."""
    texts = {TABLE: _front_first(found.frontier.table)}
    if found.picture:
        texts[PICTURE] = found.picture
    if found.served is not None:
        texts[SERVED] = _front_first(_served(found.served))
    if found.pick:
        texts["picked.json"] = json.dumps(found.pick.to_json() | {"policy": found.policy}, indent=2)
    files = {name: text.encode() for name, text in texts.items()}
    return files | ({found.page.name: found.page.read_bytes()} if found.page else {})


def _front_first(table: pd.DataFrame) -> str:
    """A table as MLflow shows it, what is on the front before all else."""
    ordered = table.sort_values("on_front", ascending=False, kind="stable")
    return str(ordered.to_json(orient="split", index=False))


def _served(served: Served) -> pd.DataFrame:
    """The served front's table with weights in words; gains on test before the rest."""
    names = [each.name for each in served.outcomes]
    gains = [f"{TEST}/{name}.gain{end}" for end in ("", ".low", ".high") for name in names]
    first = ["name", "weights", *gains, "on_front", "p_nondominated", "kind", *(f"{TEST}/{name}" for name in names)]
    rest = [str(name) for name in served.table if name not in first]
    weights = [in_words(each) for each in served.table["weights"]]
    return served.table.assign(weights=weights)[[*first, *rest]].sort_values(gains[0], ascending=False)
