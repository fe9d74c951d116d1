"""Trains random configurations once and keeps all that was measured at every rung: the table that
searchers replay.

    python studies/blackbox_table.py [--configurations 300] [--seeds 2] [--workers 2] [--limit-time
    2h]
        [--datasets hotel-bookings ..] [--home .seesaw] [--raw DIR] [--out reports/blackbox]

Space, tasks and objectives are those of `reports/blackbox/benchmark.toml`. Configuration i is the
same whatever else is asked for, and the same on all data sets that have no suite of their own:
weights go by the place of a task, and the last are left out where there are fewer. A configuration
is trained in one run to full length, as a search would train it if nothing stopped it. It is
measured on validation at each rung's share of full length. Each finished run is a line of
`<out>/<data set>.jsonl`, and `<out>/table.parquet` has a row for each rung of each run. Runs that
either of them has are not trained again: a table that was interrupted, or that gets more
configurations or seeds, goes on from there. All configurations are trained on one seed before the
next seed's turn, the data sets taking turns.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.app.runs.suite import load_suite, seconds
from bench.app.runs.suite_objectives import resolve_objectives
from bench.core.errors import UserError
from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.core.system.atomic import atomic_path
from bench.core.system.home import resolve_home
from bench.core.system.machine import keep_freed_memory
from bench.data import Store, load_card, prepare
from bench.measure.predictions import KEPT
from bench.models.training.config import TrialConfig
from bench.models.training.evaluation import costs
from bench.models.training.kept import write_rows
from bench.models.training.loop import Trainer
from bench.search.space import load_space

SUITE = load_suite("reports/blackbox/benchmark.toml")
RUNGS = "1/32 1/16 1/8 1/4 1/2 1"
SEED = 5  # of the configurations
TABLE = "table.parquet"
UNSEEN = ("small-films", "lectures", "police-stops")
"""Data sets on which searches are judged, and from which nothing is learnt."""
NEW = ["hotel-bookings", "funnel-log", "sparse-log", "rare-feed", "long-tail-log", *UNSEEN]
KEY = ["dataset", "configuration", "seed"]


@dataclass(frozen=True)
class Run:
    """One configuration on one seed."""

    dataset: str
    store: str
    configuration: int
    seed: int
    config: dict[str, Scalar]
    tasks: tuple[str, ...]
    fractions: tuple[float, ...]
    keep: str

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells runs apart."""
        return self.dataset, self.configuration, self.seed


def train(run: Run) -> dict[str, Any]:
    """A run as a line of the table."""
    return line_of(run, _train)


def line_of(run: Any, fill: Callable[[Any, list[dict[str, Any]]], None]) -> dict[str, Any]:
    """A run as a line: its rungs, which `fill` adds to a list, or why it stopped before the
    last.
    """
    keep_freed_memory()
    line = {name: value for name, value in asdict(run).items() if name in (*KEY, "config")}
    rungs: list[dict[str, Any]] = []
    try:
        fill(run, rungs)
    except (UserError, FloatingPointError) as error:
        return line | {"rungs": rungs, "failure": str(error)}
    return line | {"rungs": rungs, "failure": None}


def card_of(dataset: str) -> str:
    """What the suite calls the data set: a card's name or path."""
    return next(entry.id for entry in SUITE.datasets if name_of(entry.id) == dataset)


def name_of(card: str) -> str:
    """What the table calls a data set."""
    return Path(card).stem if card.endswith(".toml") else card


def config_of(number: int, tasks: Sequence[str], parents: bool) -> dict[str, Scalar]:
    """Configuration of a number, for tasks in their order; where none has a parent nothing is tied
    along a funnel.
    """
    places = ("1", "2", "3")
    drawn = load_space(SUITE.space).sample(
        np.random.default_rng(derive(SEED, "configuration", number)), places
    )
    names = dict(zip(places, tasks, strict=False))
    config = {}
    for key, value in drawn.items():
        stem, _, place = key.rpartition(".")
        if place not in places:
            config[key] = value
        elif place in names:
            config[f"{stem}.{names[place]}"] = value
    return config if parents else config | {"funnel.kind": "independent"}


def _train(run: Run, rungs: list[dict[str, Any]]) -> None:
    suite_dataset = SUITE.dataset(card_of(run.dataset))
    store = Store.open(run.store)
    store = store.with_tasks(run.tasks)
    objectives = resolve_objectives(suite_dataset, store.schema.tasks, ranked=())
    config = TrialConfig.parse(run.config)
    trainer = Trainer(store, config, objectives, derive(SEED, run.configuration, run.seed))
    full = config.optim.epochs * len(store.split("train"))
    parameters = costs(trainer.model, store.schema)["cost/parameters"]
    for fraction in run.fractions:
        course = trainer.run_to(None if fraction == 1 else math.ceil(fraction * full))
        metrics = trainer.metrics("valid")
        if run.keep:
            name = f"{run.configuration}-{run.seed}-{len(rungs)}"
            for split in KEPT:
                metrics |= trainer.metrics(split, file=Path(run.keep) / f"{name}.{split}.npy")
        rungs.append(
            {
                "fraction": fraction,
                "samples": course.samples,
                "seconds": course.seconds,
                "metrics": metrics,
            }
            | {"parameters": parameters}
        )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Finished runs; what a crash left of a last line is cut off the file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a finished run in one write, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        os.fsync(file.fileno())


def plan(
    dataset: str,
    numbers: Iterable[int],
    seeds: Iterable[int],
    options: argparse.Namespace,
    keep: Path | None = None,
) -> list[Run]:
    """Runs on a data set; prepares the store, and the folder for predictions if these are to be
    kept.
    """
    name, home = card_of(dataset), resolve_home(options.home)
    card = load_card(name)
    store = prepare(card, home, options.raw / dataset.partition("@")[0] if options.raw else None)
    tasks = SUITE.dataset(name).tasks or card.default_tasks
    parents = any(task.parent for task in card.tasks if task.name in tasks)
    fractions = tuple(float(Fraction(text)) for text in RUNGS.split())
    folder = ""
    if keep:
        write_rows(store.with_tasks(tasks), keep / dataset)
        folder = str(keep / dataset)
    return [
        Run(
            dataset,
            str(store.path),
            number,
            seed,
            config_of(number, tasks, parents),
            tasks,
            fractions,
            folder,
        )
        for number in numbers
        for seed in seeds
    ]


def carry_out(runs: Sequence[Run], out: Path, workers: int, limit: float) -> None:
    """Trains what is not yet there; after `limit` seconds no run is started any more."""
    finished_keys = keys(finished_frame(out))
    waiting = sorted(
        (run for run in runs if run.key not in finished_keys),
        key=lambda run: (run.seed, run.configuration),
    )
    print(f"{len(runs) - len(waiting)} runs are there, {len(waiting)} are left", flush=True)
    began, finished, count = time.monotonic(), 0, len(waiting)
    waiting.reverse()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[dict[str, Any]], Run] = {}
        while waiting or running:
            while waiting and len(running) < workers and time.monotonic() - began < limit:
                run = waiting.pop()
                running[pool.submit(train, run)] = run
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                run = running.pop(future)
                line = future.result()
                append(line_path(out, run.dataset), line)
                finished += 1
                elapsed = time.monotonic() - began
                print(
                    f"{finished}/{count} {run.dataset} {run.configuration}/{run.seed} "
                    f"{run.config['sharing.kind']}: {line['failure'] or 'done'}; "
                    f"{elapsed / finished:.1f} s a run",
                    flush=True,
                )


def line_path(out: Path, dataset: str) -> Path:
    """Where a data set's finished runs are."""
    return out / f"{dataset}.jsonl"


def finished_frame(out: Path) -> pd.DataFrame:
    """The table of all runs that are there, those of the table that was written last included."""
    frame = table([line for path in sorted(out.glob("*.jsonl")) for line in read_lines(path)])
    if not (out / TABLE).is_file():
        return frame
    before = pd.read_parquet(out / TABLE)
    new = keys(frame)
    unchanged = before[[key not in new for key in before[KEY].itertuples(index=False, name=None)]]
    return ordered(pd.concat([unchanged, frame], ignore_index=True) if len(frame) else unchanged)


def keys(frame: pd.DataFrame) -> set[tuple[str, int, int]]:
    """The keys of a table's runs."""
    return set(frame[KEY].itertuples(index=False, name=None))


def table(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each rung of each run; a run that failed has a last row with the reason and no
    measurements.

    Columns: dataset, configuration, seed, `config/<dotted name>`, rung, fraction, samples, seconds
    (training alone), parameters, every AUC, failure.
    """
    rows: list[dict[str, Any]] = []
    if not lines:
        return pd.DataFrame(columns=KEY)
    for line in sorted(
        lines, key=lambda line: (line["dataset"], line["configuration"], line["seed"])
    ):
        head = {name: line[name] for name in ("dataset", "configuration", "seed")}
        head |= {f"config/{name}": value for name, value in line["config"].items()}
        for rung, measurements in enumerate(line["rungs"]):
            measured = {name: value for name, value in measurements.items() if name != "metrics"}
            areas = {
                name: value
                for name, value in measurements["metrics"].items()
                if name.endswith(".auc")
            }
            rows.append(head | {"rung": rung} | measured | areas | {"failure": None})
        if line["failure"]:
            rows.append(head | {"rung": len(line["rungs"]), "failure": line["failure"]})
    return ordered(pd.DataFrame(rows))


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with its rows by run and rung, its columns in order, and measurements as float32."""
    frame = frame.sort_values([*KEY, "rung"], ignore_index=True)
    configs = sorted(name for name in frame if name.startswith("config/"))
    frame = frame[[*KEY, *configs, *(name for name in frame if name not in (*KEY, *configs))]]
    narrow = [
        name for name in frame.columns if name.startswith(("valid/", "test/")) or name == "seconds"
    ]
    return frame.astype(dict.fromkeys(narrow, "float32"))


def write(frame: pd.DataFrame, path: Path) -> None:
    """The table as a small file: hardly two measurements are equal, and their leading bytes hardly
    differ.
    """
    measured = [name for name, kind in frame.dtypes.items() if kind == "float32"]
    with atomic_path(path) as temporary:
        frame.to_parquet(
            temporary,
            compression="zstd",
            index=False,
            use_byte_stream_split=measured,
            use_dictionary=[name for name in frame.columns if name not in measured],
        )


def main() -> None:
    """Makes the table, or what the time allows of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--configurations", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--datasets", nargs="+", default=NEW, choices=NEW)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit-time", type=seconds, default=math.inf)
    parser.add_argument("--home", type=Path)
    parser.add_argument(
        "--raw", type=Path, help="folder with a folder of raw files for each data set"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/blackbox"))
    options = parser.parse_args()
    numbers, seeds = range(options.configurations), range(options.seeds)
    runs = [run for dataset in options.datasets for run in plan(dataset, numbers, seeds, options)]
    carry_out(runs, options.out, options.workers, options.limit_time)
    frame = finished_frame(options.out)
    write(frame, options.out / TABLE)
    print(f"{len(keys(frame))} runs in {options.out / TABLE}")


if __name__ == "__main__":
    main()
