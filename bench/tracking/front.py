"""A search's results as MLflow's values: verdict, fronts, pick and page, on its parent run and its trials."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.frontier.frontier import Frontier
from bench.frontier.pick import Pick
from bench.fusion import in_words
from bench.rows import NAMES, TEST
from bench.tracking.values import UNTIL, Point, finite, outward, word

if TYPE_CHECKING:
    from bench.frontier.served.served import Served

SERVED, TABLE, PICTURE = "serving_front.json", "frontier.json", "front.svg"
DIGEST, VERDICT = "seesaw.front_digest", "seesaw.verdict"
OBJECTIVES, REFERENCE = "seesaw.objectives", "seesaw.reference"
"""Tags of a parent: what its front compares (name and direction), and the hypervolume's reference, as JSON."""
CHOSEN = "chosen/"
"""Metrics of the pick on the parent; charts of this name come before all others."""


@dataclass(frozen=True)
class Found:
    """The results of a search.

    Attributes:
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


UNPLACED = {"front.on_front": "false", "front.rank": "none", "front.p_nondominated": "none", "seesaw.picked": "false"}
"""The place of a trial that did not complete."""


def on_trials(
    frontier: Frontier, pick: Pick | None, when: float = 0.0
) -> dict[int, tuple[list[Point], dict[str, str]]]:
    """What the front says of each trial that was compared, by number: replicate means and deviations as metrics, and
    its place as tags.

    Args:
        when: time of the metrics, in seconds since 1970; 0 is the beginning of the trial.
    """
    spread = [str(name) for name in frontier.table if str(name).endswith((".mean", ".sd"))]
    found = {}
    for row in frontier.by_trial.to_dict("records"):
        chance = float(row["p_nondominated"])
        numbers = {name: float(row[name]) for name in spread} | {"front.p_nondominated": chance}
        tags = {
            "front.on_front": word(row["on_front"]),
            "front.rank": "none" if pd.isna(row["rank"]) else str(row["rank"]),
            "front.p_nondominated": "none" if math.isnan(chance) else f"{chance:.4f}",
            UNTIL: row["point"].partition("@")[2] or word(None),
            "seesaw.picked": word(pick is not None and pick.trial == row["trial"]),
        }
        found[int(row["trial"])] = finite(Point(name, value, time=when) for name, value in numbers.items()), tags
    return found


def on_parent(
    found: Found, experiment: str, run: str, when: float = 0.0
) -> tuple[list[Point], dict[str, str], dict[str, str]]:
    """Metrics, tags and artifacts of the parent run; see docs/tracking.md. The tag `DIGEST` is of the artifacts.

    Args:
        experiment, run: their ids, for links.
        when: time of the metrics, in seconds since 1970.
    """
    frontier, pick, files = found.frontier, found.pick, _files(found)
    holds = pick.stability.holds if pick else None
    numbers = {f"{CHOSEN}{name}": value for name, value in _chosen(found).items()}
    numbers |= {"front.hypervolume": frontier.hypervolume, "front.size": float(frontier.table["on_front"].sum())}
    tables = [{"path": name, "type": "table"} for name in (SERVED, TABLE) if name in files]
    tags = {
        "mlflow.note.content": _description(found, f"#/experiments/{experiment}/runs/{run}/artifacts", run),
        "mlflow.loggedArtifacts": json.dumps(tables),  # MLflow shows these as tables
        VERDICT: str(found.verdict["kind"]) if found.verdict else "none",
        "seesaw.picked": pick.point if pick else "none",
        "seesaw.pick_reason": pick.reason if pick else "none",
        "seesaw.pick_by_rule": "unknown" if holds is None else f"{holds:.2f}",
        "seesaw.answer": frontier.answer.sentence if frontier.answer else "none",
        OBJECTIVES: json.dumps([[each.name, each.direction] for each in frontier.objectives]),
        REFERENCE: json.dumps(frontier.reference),
        "front.split": frontier.split,
        "front.rows": NAMES[frontier.split],
        DIGEST: hashlib.sha256(json.dumps(files).encode()).hexdigest(),
    }
    return [Point(name, value, time=when) for name, value in numbers.items()], tags, files


def columns(found: Found) -> str:
    """The view of the runs table, for MLflow: few columns, which decide."""
    shown = [f"tags.`{VERDICT}`", "tags.`seesaw.picked`"]
    shown += [f"metrics.`{outward(CHOSEN + name)}`" for name in _chosen(found) if not name.endswith(".gain")]
    return json.dumps({"selectedColumns": shown})


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


def _description(found: Found, files: str, run: str) -> str:
    """The run's description, in Markdown, with links to its files."""
    reason = found.pick.reason if found.pick else "Nothing is picked."
    links = {"served front": SERVED if found.served else "", "front of heads": TABLE}
    links |= {"page": found.page.name if found.page else "", "pick": "picked.json" if found.pick else ""}
    parts = [
        f"**{found.verdict['sentence'] if found.verdict else reason}**",
        " · ".join(f"[{name}]({files}/{file})" for name, file in links.items() if file),
        f"![front](get-artifact?path={PICTURE}&run_uuid={run})" if found.picture else "",
        reason if found.pick and found.verdict else "",
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
