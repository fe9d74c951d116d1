"""What the ways in which numbers enter a model are worth: AUC of each task on validation and test, in pairs by seed.

    python tests/benchmarks/inputs.py --raw DIR [--data census-income ...] [--seeds 5] [--workers 1]
        [--model sharing.kind=mmoe interaction.kind=dcn_v2] [--variant numeric.kind=scaled] [--set optim.epochs=1 ...]
        [--out FILE.jsonl] [--write docs/FILE]

`DIR` holds `census-income/`, `kuairand-pure/` and `hotel-bookings/`; the funnel is generated. Nothing is searched:
every model is trained under every variant with each seed, and kept at its best evaluation by validation. `--model` and
`--variant` take settings as `--set` does, and may be given several times; the other variants are held against the
first. Differences have 90% intervals (Student's t over seeds). Each job has one thread. `FILE.jsonl` keeps each
finished training, which is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import process_time
from typing import Any

import cpu
import numpy as np
import torch
from scipy.stats import t
from speed.table import replace

from bench.cli.options import assignments
from bench.data import Store, load_card, prepare
from bench.machine import keep_freed_memory
from bench.objectives import primary
from bench.records import Job
from bench.seeds import derive
from bench.training.config import TrialConfig
from bench.training.job import run_job

NAME = "inputs"
EPOCHS = {
    "census-income": 2,
    "census-income-education": 2,
    "kuairand-pure@late-window": 1,
    "synthetic-funnel": 3,
    "hotel": 3,
}
RAW = {"census-income-education": "census-income"}
"""Folder of a card's raw files, where that is not named as the card is."""
MODELS = (("sharing.kind=shared_bottom",), ("sharing.kind=mmoe", "interaction.kind=dcn_v2"))
VARIANTS = (
    ("numeric.kind=bucket",),
    ("numeric.kind=bucket", "numeric.bucket.bins=20"),
    ("numeric.kind=bucket", "numeric.bucket.bins=100"),
    ("numeric.kind=scaled",),
    ("numeric.kind=piecewise_linear",),
    ("numeric.kind=piecewise_linear", "numeric.piecewise_linear.activation=false"),
    ("numeric.kind=piecewise_linear", "numeric.piecewise_linear.bins=128"),
    ("numeric.kind=periodic", "numeric.periodic.sigma=0.1"),
    ("numeric.kind=periodic", "numeric.periodic.sigma=1.0"),
)


@dataclass(frozen=True)
class Work:
    """One training."""

    data: str
    model: str
    variant: str
    seed: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """By which it is found again."""
        return self.data, self.model, self.variant, self.seed


def store_of(data: str, home: Path, raw: Path) -> Store:
    """The data set with the tasks of its card."""
    if data == "hotel":
        store: Store = cpu.prepared(data, home, raw)
    else:
        card = load_card(data)
        store = prepare(card, home, raw / RAW.get(data, card.id) if card.files else None)
    return store.with_tasks(store.default_tasks)


def train(work: Work, home: Path, raw: Path) -> dict[str, Any]:
    """Metrics by split and objective, and CPU seconds."""
    store = store_of(work.data, home, raw)
    given = {"optim.epochs": EPOCHS[work.data]} | assignments([*work.model.split(), *work.variant.split()])
    objectives = tuple(primary(task) for task in store.schema.tasks)
    job = Job(
        trial=0,
        replicate=0,
        config=TrialConfig.parse(given).dotted(),
        store=str(store.path),
        seed=derive(work.seed, NAME),
        splits=("valid", "test"),
        objectives=objectives,
        tasks=tuple(task.name for task in store.schema.tasks),
        threads=1,
    )
    started = process_time()
    metrics = run_job(job).metrics
    values = {f"{split}/{name}": metrics[f"{split}/{name}"] for split in job.splits for name in objectives}
    return vars(work) | {"metrics": values, "parameters": metrics["cost/parameters"], "cpu": process_time() - started}


def interval(differences: Sequence[float]) -> str:
    """Mean and 90% interval, as text."""
    values = np.array(differences)
    if len(values) < 2:
        return f"{values.mean():+.4f}"
    reach = t.ppf(0.95, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.4f} ({values.mean() - reach:+.4f} to {values.mean() + reach:+.4f})"


def rows(found: dict[tuple[str, str, str, int], dict[str, Any]], first: str, seeds: int) -> Iterator[str]:
    """A line for each task of each variant of each model on each data set, in the order in which they are known."""
    for data, model, variant in dict.fromkeys(key[:3] for key in found):
        pairs = [
            (found[data, model, variant, seed], found[data, model, first, seed])
            for seed in range(seeds)
            if {(data, model, variant, seed), (data, model, first, seed)} <= found.keys()
        ]
        if not pairs:
            continue
        cost = np.mean([one["cpu"] / other["cpu"] for one, other in pairs])
        for name in dict.fromkeys(key.partition("/")[2] for key in pairs[0][0]["metrics"]):
            cells = [data, f"`{model}`", f"`{variant}`", name, str(len(pairs))]
            for split in ("valid", "test"):
                values = [[each["metrics"][f"{split}/{name}"] for each in pair] for pair in pairs]
                own = float(np.mean([one for one, _ in values]))
                cells += [f"{own:.4f}", "" if variant == first else interval([one - other for one, other in values])]
            yield f"| {' | '.join([*cells, f'{cost:.2f}', format(pairs[0][0]['parameters'], ',.0f')])} |"


def table(found: dict[tuple[str, str, str, int], dict[str, Any]], first: str, seeds: int) -> str:
    """All of it."""
    head = "data | model | variant | task | seeds | valid | difference | test | difference | CPU, × | parameters"
    return "\n".join([f"| {head} |", "|---" * 11 + "|", *rows(found, first, seeds)])


def main() -> None:
    """Trains what is missing, and prints or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--model", nargs="+", action="append", help="settings of a model")
    parser.add_argument("--variant", nargs="+", action="append", help="settings of a variant")
    parser.add_argument("--set", nargs="+", default=[], help="settings of all models")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("inputs.jsonl"))
    parser.add_argument("--write", type=Path, help="put the table into this document")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what a process is begun with: trainings, as JSON
    given = parser.parse_args()
    if given.one:
        keep_freed_memory()
        torch.set_num_threads(1)
        for work in json.loads(given.one):
            print(json.dumps(train(Work(**work), given.home, given.raw)), flush=True)
        return
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    known = {Work(*(each[name] for name in Work.__dataclass_fields__)).key: each for each in map(json.loads, lines)}
    models = [" ".join([*model, *given.set]) for model in given.model or MODELS]
    variants = [" ".join(variant) for variant in given.variant or VARIANTS]
    for data in given.data:
        store_of(data, given.home, given.raw)
    batches = [
        [work for variant in variants if (work := Work(data, model, variant, seed)).key not in known]
        for seed in range(given.seeds)
        for data in given.data
        for model in models
    ]
    keeping = Lock()

    def run(batch: list[Work]) -> None:
        command = [sys.executable, __file__, "--raw", str(given.raw), "--home", str(given.home)]
        command += ["--one", json.dumps([vars(work) for work in batch])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line, work in zip(process.stdout, batch, strict=False):
                with keeping, given.out.open("a") as file:
                    file.write(line)
                    known[work.key] = json.loads(line)
                print(*work.key, known[work.key]["metrics"], file=sys.stderr, flush=True)
        if process.returncode:
            raise SystemExit(f"expected the trainings of {batch[0]} to end well, found exit code {process.returncode}")

    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(run, filter(None, batches)))
    wanted = [(data, model, variant) for data in given.data for model in models for variant in variants]
    found = {(*key, seed): known[*key, seed] for key in wanted for seed in range(given.seeds)}
    text = table(found, variants[0], given.seeds)
    print(text)
    if given.write:
        replace(given.write, NAME, text)


if __name__ == "__main__":
    main()
