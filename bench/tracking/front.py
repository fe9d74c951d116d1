"""Sends a search's results to its parent run and its trials: verdict, fronts, pick, page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.frontier.frontier import Frontier
from bench.frontier.pick import Pick
from bench.fusion import in_words
from bench.rows import TEST
from bench.tracking.runs import Parent
from bench.tracking.values import UNPLACED, VIEW, Point, front_of, front_tags, outward

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
    frontier, pick, node = found.frontier, found.pick, parent.node
    placed = front_of(frontier, pick, when)
    for number, trial in parent.trials.items():
        points, tags = placed.get(number, ([], UNPLACED))
        trial.send(points, tags=tags)
    files = _files(found)
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    if node.tags.get(DIGEST) != digest:
        for name, text in files.items():
            node.keep(name, text)
        parent.sent["fronts"] += 1
    chosen, holds = _chosen(found), pick.stability.holds if pick else None
    numbers = {f"{CHOSEN}{name}": value for name, value in chosen.items()}
    numbers |= {"front.hypervolume": frontier.hypervolume, "front.size": float(frontier.table["on_front"].sum())}
    node.send(
        [Point(name, value, time=when) for name, value in numbers.items()],
        tags={
            "mlflow.note.content": _description(parent, found),
            VERDICT: str(found.verdict["kind"]) if found.verdict else "none",
            "seesaw.picked": pick.point if pick else "none",
            "seesaw.pick_reason": pick.reason if pick else "none",
            "seesaw.pick_by_rule": "unknown" if holds is None else f"{holds:.2f}",
            "seesaw.answer": frontier.answer.sentence if frontier.answer else "none",
            # MLflow shows these as tables
            "mlflow.loggedArtifacts": json.dumps(
                [{"path": name, "type": "table"} for name in (SERVED, TABLE) if name in files]
            ),
            **front_tags(frontier),
            DIGEST: digest,
        },
    )
    shown = [f"tags.`{VERDICT}`", "tags.`seesaw.picked`"]  # the columns of the runs table: few, and what decides
    shown += [f"metrics.`{outward(CHOSEN + name)}`" for name in chosen if not name.endswith(".gain")]
    state = json.dumps({"selectedColumns": shown})
    view = f"mlflow.sharedViewState.{VIEW}"
    parent.store.ask(f"store the view '{VIEW}'", "set_experiment_tag", parent.experiment, view, state)


def _chosen(found: Found) -> dict[str, float]:
    """The pick's values by outcome and its gains over the current point, as fractions of that, both on test; without a
    served front its head metrics on the frontier's split."""
    pick, served = found.pick, found.served
    if pick is None:
        return {}
    heads = {each.name: each.key(found.frontier.split) for each in found.frontier.objectives}
    chosen = dict(pick.outcomes) or {name: pick.metrics[key] for name, key in heads.items() if key in pick.metrics}
    for row in served.table.to_dict("records") if served else ():
        if served and (row["point"], row["kind"], row["weights"]) == (pick.point, pick.kind, pick.weights):
            names = [f"{each.name}{end}" for end in ("", ".gain") for each in served.outcomes]
            chosen |= {name: float(row[f"{TEST}/{name}"]) for name in names}
    return {name: value for name, value in chosen.items() if value == value}


def _description(parent: Parent, found: Found) -> str:
    """The run's description, in Markdown."""
    run = parent.node.run_id
    links = {"served front": SERVED if found.served else "", "front of heads": TABLE}
    links |= {"page": found.page.name if found.page else "", "pick": "picked.json" if found.pick else ""}
    files = f"#/experiments/{parent.experiment}/runs/{run}/artifacts"
    parts = [
        f"**{found.sentence}**",
        " · ".join(f"[{name}]({files}/{file})" for name, file in links.items() if file),
        f"![front](get-artifact?path={PICTURE}&run_uuid={run})" if found.picture else "",
        found.pick.reason if found.pick and found.verdict else "",
        found.note,
        "\n".join(f"- `{command}`" for command in found.commands),  # a block of code would widen the page
    ]
    return "\n\n".join(part for part in parts if part)


def _files(found: Found) -> dict[str, str]:
    """The artifacts by name."""
    files = {TABLE: _front_first(found.frontier.table)}
    if found.picture:
        files[PICTURE] = found.picture
    if found.served is not None:
        files[SERVED] = _front_first(_served(found.served))
    if found.pick:
        files["picked.json"] = json.dumps(found.pick.to_json() | {"policy": found.policy}, indent=2)
    if found.page:
        files[found.page.name] = found.page.read_text(encoding="utf-8")
    return files


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
