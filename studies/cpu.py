"""Real searches by CPU seconds: gp by rungs against full-length multivariate TPE, or from the
portfolio and without it.

    python studies/cpu.py --raw DIR [--ways "gp by rungs" tpe] [--seeds 3] [--lengths 10] [--data
    hotel ...]
        [--workers 1] [--out FILE.jsonl] [--write docs/studies/search.md] [--profile DATA]
    python studies/cpu.py --raw DIR --ways "gp from the portfolio" "gp by rungs" --data kuairand ...

`DIR` holds `hotel-bookings/hotel_bookings.csv.gz`, `census-income/` and `kuairand-pure/`; others
are generated. `gp by rungs` begins with the defaults of each kind of sharing; nothing in it was
chosen on these but KuaiRand, which is for the portfolio. The portfolio for a data set is learnt on
the table's other data sets.

Every search is a process of its own with one thread and the inline executor, so that its CPU time
has all of it: proposals, the log, building models, training, evaluation and checkpoints. Imports
and preparing the data are left out. A search is given `--lengths` trainings of full length in
samples. `FILE.jsonl` keeps each finished search, which is not run again.

Only results at full length count here, in both ways: they are measured on all validation rows. The
hypervolume's reference is, for each objective, the first quartile of all full-length results of a
data set. Values are shares of the hypervolume of all results together.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from learn_portfolio import SUITE, known_of, learnt_without, name_of
from speed.table import replace, writer

from bench.app.runs.search_limits import ladder
from bench.app.runs.suite import STEP, SuiteDataset, lowest_rung
from bench.app.runs.suite_objectives import resolve_objectives
from bench.core.objectives import Objective
from bench.core.records import Job, Point, SplitName, TrialRecord
from bench.core.seeds import derive
from bench.core.system.atomic import write_text
from bench.data import Store, load_card, prepare
from bench.ledger.pareto import hypervolume
from bench.models.training.job import run_job
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.plan import SearchPlan, fitted
from bench.search.promotion import reduction_factors
from bench.search.space import fitting, load_space
from bench.search.study import Study

WAYS = ("gp by rungs", "tpe", "gp from the portfolio")
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the CPU seconds that both searches of a pair reached."""
TABLE = Path("reports/blackbox/table.parquet")
HOTEL = "hotel_bookings.csv.gz"
HOTEL_LABELS = ("is_canceled=1", "total_of_special_requests=0", "booking_changes=0")


@dataclass(frozen=True)
class Data:
    """A data set.

    Attributes:
        epochs: for which it is trained.
        without: the data set of the table that its portfolio must not know.
        raw: folder of its files; none where it is generated.
        tasks: all of the card's where none is named.
    """

    card: str
    epochs: float
    without: str
    raw: str = ""
    tasks: tuple[str, ...] = ()


DATA = {
    "hotel": Data("hotel", 1, "hotel-bookings", "hotel-bookings"),
    "census-education": Data("census-income-education", 0.5, "census-income", "census-income"),
    "funnel": Data("synthetic-funnel@rows=60_000,seed=7", 3, "funnel-log"),
    "funnel-small": Data(
        "synthetic-funnel@rows=30_000,seed=11,bias=0.5,users=1000", 4, "funnel-log"
    ),
    "kuairand": Data(
        "kuairand-pure@late-window",
        1,
        "kuairand-pure@late-window",
        "kuairand-pure",
        ("click", "long_view", "like"),
    ),
}


def prepared(name: str, home: Path, raw: Path) -> Store:
    """The store of a data set; a card that is not among the built-in ones is written first."""
    data = DATA[name]
    card, folder = data.card, raw / data.raw
    if name == "hotel":
        card = str(home / "hotel.toml")
        if not Path(card).exists():
            labels = [part for label in HOTEL_LABELS for part in ("--label", label)]
            command = [
                sys.executable,
                "-m",
                "bench",
                "data",
                "card",
                str(folder / HOTEL),
                *labels,
                "--split",
                "random",
            ]
            subprocess.run(
                [*command, "--id", "hotel", "--out", card], check=True, capture_output=True
            )
    store = prepare(load_card(card), home, folder if data.raw else None)
    return store.with_tasks(data.tasks) if data.tasks else store


def left_out(home: Path) -> dict[str, list[dict[str, Any]]]:
    """By data set of the table the portfolio that is learnt on the others; learning takes ten
    minutes, once.
    """
    path = home / "left_out.json"
    if not path.exists():
        known_data, candidates = known_of([name_of(entry.id) for entry in SUITE.datasets], TABLE)
        write_text(
            path,
            json.dumps({name: learnt_without(name, known_data, candidates) for name in known_data}),
        )
    portfolios: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return portfolios


def run(name: str, way: str, seed: int, lengths: float, home: Path, raw: Path) -> dict[str, Any]:
    """One search: CPU seconds, samples and objectives (None below full length) after each of its
    jobs.
    """
    store = prepared(name, home, raw)
    tasks = store.schema.tasks
    objectives = resolve_objectives(SuiteDataset(id=name), tasks, ranked=())
    space = fitting(
        load_space("joint").restricted({"optim.epochs": DATA[name].epochs}), store.schema
    ).space
    full, by_rungs = round(DATA[name].epochs * len(store.split("train"))), way != "tpe"
    names = [task.name for task in tasks]
    openings = left_out(home)[DATA[name].without] if way == "gp from the portfolio" else []
    starts = [config for opening in openings if (config := fitted(opening, space, names))]
    plan = SearchPlan(
        space=space,
        tasks=tuple(task.name for task in tasks),
        objectives=objectives,
        trials=None if by_rungs else round(lengths),
        budget=round(lengths * full) if by_rungs else None,
        seed=seed,
        sampler="gp" if by_rungs else "tpe",
        tries=1,
        portfolio=tuple(starts),
        ladder=ladder(lowest_rung(None, full), STEP, full) if by_rungs else (full,),
        eta=reduction_factors(len(objectives)),
    )

    def make_job(point: Point, replicate: int, splits: tuple[SplitName, ...]) -> Job:
        return Job(
            trial=point.number,
            replicate=replicate,
            config=point.config,
            store=str(store.path),
            seed=derive(seed, point.number or 0, replicate),
            splits=splits,
            objectives=tuple(objective.name for objective in objectives),
            tasks=plan.tasks,
            threads=1,
            device="cpu",
        )

    keys = [objective.key("valid") for objective in objectives]
    steps: list[tuple[float, int, list[float] | None]] = []

    def on_record(record: TrialRecord) -> None:
        completed = record.state == "completed"
        samples = study.history.samples(plan.ladder) if by_rungs else (record.number + 1) * full
        steps.append(
            (
                process_time() - began,
                samples,
                [record.metrics[key] for key in keys] if completed else None,
            )
        )

    with tempfile.TemporaryDirectory() as folder, Study.open(Path(folder), plan) as study:
        began = process_time()
        search(plan, study, InlineExecutor(run_job), make_job, on_record)
    return {
        "data": name,
        "way": way,
        "seed": seed,
        "objectives": [objective.name for objective in objectives],
        "ladder": list(plan.ladder),
        "steps": steps,
    }


def compared(runs: Sequence[dict[str, Any]], ways: tuple[str, str]) -> list[str]:
    """A row for each data set: means over its seeds, and how many pairs the first way wins."""
    rows = []
    for name in DATA:
        data_runs = [run for run in runs if run["data"] == name and run["way"] in ways]
        pairs = [
            (first, second)
            for first in data_runs
            for second in data_runs
            if (first["way"], second["way"]) == ways and first["seed"] == second["seed"]
        ]
        if not pairs:
            continue
        # all are areas under a curve
        objectives = tuple(
            Objective(objective_name, "maximize") for objective_name in data_runs[0]["objectives"]
        )
        values = np.array([step[2] for run in data_runs for step in run["steps"] if step[2]])
        signs = np.array([objective.sign for objective in objectives])
        quartile = np.quantile(values * signs, 0.25, axis=0) * signs
        reference = {
            objective.name: float(floor)
            for objective, floor in zip(objectives, quartile, strict=True)
        }
        whole = hypervolume(values, objectives, reference)

        def reached(run: dict[str, Any], limit: float) -> float:
            points = [step[2] for step in run["steps"] if step[2] and step[0] <= limit]
            return hypervolume(np.array(points), objectives, reference) / whole if points else 0.0  # noqa: B023

        cells = [name, str(len(pairs))]
        for share in SHARES:
            gaps = []
            for first, second in pairs:
                limit = share * min(first["steps"][-1][0], second["steps"][-1][0])
                gaps.append((reached(first, limit), reached(second, limit)))
            first_volume, two = np.mean(gaps, axis=0)
            won = sum(a > b for a, b in gaps)
            cells.append(f"{first_volume:.3f} / {two:.3f} ({won})")
        a_sample = [
            np.mean([pair[side]["steps"][-1][0] / pair[side]["steps"][-1][1] for pair in pairs])
            for side in (0, 1)
        ]
        cells.append(f"{a_sample[0] / a_sample[1]:.2f}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def table(runs: Sequence[dict[str, Any]], ways: tuple[str, str]) -> str:
    """At shares of the common CPU seconds."""
    heads = [f"{share:.0%} of CPU" for share in SHARES]
    head = f"| data | pairs | {' | '.join(heads)} | CPU a sample |"
    return "\n".join([head, "|---" * (len(heads) + 3) + "|", *compared(runs, ways)])


def main() -> None:
    """Searches what is missing, and prints or writes the table; or profiles one search, or is
    one.
    """
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA)[:4])
    parser.add_argument("--ways", nargs=2, choices=WAYS, default=list(WAYS[:2]))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lengths", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("cpu.jsonl"))
    parser.add_argument("--profile", choices=DATA, help="profile one search by rungs instead")
    # data, way and seed: what a process is begun with
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, way, seed = arguments.one
        print(
            json.dumps(run(name, way, int(seed), arguments.lengths, arguments.home, arguments.raw))
        )
        return
    if arguments.profile:
        for way in arguments.ways:
            profile = cProfile.Profile()
            searched = profile.runcall(
                run, arguments.profile, way, 0, arguments.lengths, arguments.home, arguments.raw
            )
            cpu, samples, _ = searched["steps"][-1]
            print(
                way,
                searched["ladder"],
                len(searched["steps"]),
                "jobs",
                f"{cpu:.1f} s, {1e6 * cpu / samples:.2f} us a sample",
            )
            pstats.Stats(profile).sort_stats("cumulative").print_stats(70)
        return
    records = (
        [json.loads(line) for line in arguments.out.read_text().splitlines()]
        if arguments.out.exists()
        else []
    )
    have = {(record["data"], record["way"], record["seed"]) for record in records}
    for name in arguments.data:
        prepared(name, arguments.home, arguments.raw)
    if WAYS[2] in arguments.ways:
        left_out(arguments.home)
    searches = [
        (name, way, seed)
        for seed in range(arguments.seeds)
        for name in arguments.data
        for way in arguments.ways
    ]
    options = [
        "--raw",
        str(arguments.raw),
        "--home",
        str(arguments.home),
        "--lengths",
        str(arguments.lengths),
    ]

    def begin(key: tuple[str, str, int]) -> str:
        command = [sys.executable, __file__, *options, "--one", key[0], key[1], str(key[2])]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.splitlines()[-1]

    with ThreadPoolExecutor(arguments.workers) as pool:
        for line in pool.map(begin, [key for key in searches if key not in have]):
            with arguments.out.open("a") as file:
                file.write(line + "\n")
            records.append(json.loads(line))
            print(
                *(records[-1][key] for key in ("data", "way", "seed")),
                records[-1]["steps"][-1][:2],
                flush=True,
            )
    text = table(records, tuple(arguments.ways))
    print(text)
    replace(arguments.write, "openings" if WAYS[2] in arguments.ways else "cpu", text)


if __name__ == "__main__":
    main()
