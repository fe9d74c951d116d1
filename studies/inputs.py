"""Ablation of inputs and models, each tuned alike, against boosted trees: AUC and what is served,
in pairs by seed.

    python studies/inputs.py --raw DIR [--data census-income ...] [--variant bucket ...] [--tries 8]
        [--seeds 5] [--workers 1] [--out FILE.jsonl] [--write docs/studies/inputs-tables.md]
        [--outcome click.auc ...] [--leads reports/inputs/leads.csv]

On a card with scenarios, AUC and what is served are measured in each of them, too, where a task has
enough positives; `--outcome 'click.auc[scenario=1]'` puts them into the table.

`DIR` holds `census-income/`, `kuairand-pure/` and `hotel-bookings/`; the funnel is generated. Each
variant is trained with the same `tries` draws of what is tuned (`DRAWN`), all on one seed. The draw
with the best mean AUC on validation is trained on fresh seeds. Trees have as many tries. Each job
has one thread. `FILE.jsonl` keeps each finished training, which does not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import cpu
import numpy as np
import pandas as pd
import torch
from scipy.stats import t
from scipy.stats.qmc import Sobol
from speed.table import replace, writer

from bench.core.objectives import Objective, default_outcomes, metric_of, primary, ranked
from bench.core.records import Job, Scalar
from bench.core.schema import SCENARIO, Task
from bench.core.seeds import derive
from bench.core.system.atomic import write_text
from bench.core.system.machine import keep_freed_memory
from bench.data import Store, load_card, prepare
from bench.ledger.fusion import fused
from bench.ledger.pareto import hypervolume
from bench.ledger.served.front import on_front
from bench.ledger.served.slices import LEAST_IN_SLICE
from bench.ledger.served.sweep import Sweep
from bench.measure.outcomes import Measure
from bench.measure.predictions import name_of, predictions, read_rows
from bench.measure.spaces import Labelled, joint_labels
from bench.models.training.config import TrialConfig
from bench.models.training.job import run_job
from bench.models.training.kept import write_rows
from bench.models.training.tree_settings import best_by_task, configurations

NAME = "inputs"
EPOCHS = {
    "census-income": (2, 6),
    "census-income-education": (2, 6),
    "kuairand-pure@late-window": (0.5, 2),
    "synthetic-funnel": (1, 6),
    "hotel": (2, 8),
}
"""By data set the range of passes over train."""
LATE = "kuairand-pure@late-window"
TASKS = {
    f"{LATE}, watch": (LATE, ("click", "long_view", "like", "profile_enter", "watch")),
    f"{LATE}, watch_once": (LATE, ("click", "long_view", "like", "profile_enter", "watch_once")),
}
"""Data sets with other tasks than a card's usual ones: name -> (card, tasks)."""
LISTS = f"{LATE}, lists"
"""With each user's newest videos and authors, a list for each action."""
EPOCHS |= dict.fromkeys((*TASKS, LISTS), EPOCHS[LATE])
RAW = {"census-income-education": "census-income"}
"""Folder of a card's raw files, where that is not named as the card is."""
FIXED: dict[str, Scalar] = {"optim.batch_size": 1024, "tower.layers": "64-32"}
DRAWN = {
    "optim.lr": (0.0015, 0.012),
    "optim.embedding_l2": (0.003, 3.0),
    "tower.dropout": (0.01, 0.4),
}
"""Ranges of what is tuned, all on a logarithmic scale."""
FIRST, TREES = "bucket", "trees"
WITHOUT = "without regressions"
FRONTS = {"front within groups": "ndcg@5", "front over all rows": "{share}@10%"}
"""Served fronts of one training: name -> the outcome of each task."""
OWN: dict[str, dict[str, Scalar]] = {
    FIRST: {},
    TREES: {},
    "bucket, 20 ranges": {"numeric.bucket.bins": 20},
    "scaled": {"numeric.kind": "scaled"},
    "piecewise_linear": {"numeric.kind": "piecewise_linear"},
    "bucket_and_piecewise": {"numeric.kind": "bucket_and_piecewise"},
    "4 members": {"ensemble.members": 4},
    "averaging": {"optim.averaging": 0.25},
    "fm": {"interaction.kind": "fm"},
    "dcn_v2": {"interaction.kind": "dcn_v2"},
    "mean": {"sequence.kind": "mean"},
    "din": {"sequence.kind": "din"},
    "single_task": {"sharing.kind": "single_task"},
    "mmoe": {"sharing.kind": "mmoe"},
    "ple": {"sharing.kind": "ple"},
    "piecewise_linear, dcn_v2": {},
    "ple, piecewise_linear, dcn_v2": {},
    "mmoe, bucket_and_piecewise": {},
    "ple, bucket_and_piecewise, dcn_v2, averaging": {},
    "ple, piecewise_linear, dcn_v2, averaging": {},
    "ple, dcn_v2, 4 members": {},
    "ple, piecewise_linear, dcn_v2, averaging, 4 members": {},
    "single_task, piecewise_linear, dcn_v2": {},
    "wide single_task, piecewise_linear, dcn_v2": {
        "sharing.kind": "single_task",
        "sharing.single_task.layers": "256-128",
    },
    "distilled": {"loss.kind": "distilled"},
    "mmoe, distilled": {},
    "ple, distilled": {},
    "ple, bucket_and_piecewise, dcn_v2, averaging, distilled": {},
    "ple, piecewise_linear, dcn_v2, averaging, distilled": {"loss.distilled.share": 0.8},
    "wide single_task, piecewise_linear, dcn_v2, distilled": {
        "sharing.kind": "single_task",
        "sharing.single_task.layers": "256-128",
        "loss.distilled.share": 0.8,
    },
    "pepnet": {"sharing.kind": "pepnet"},
    "pepnet, gates by user": {"sharing.pepnet.domain": "user_id"},
    "star": {"sharing.kind": "star"},
    "mlora": {"sharing.kind": "mlora"},
    "bpr": {"loss.kind": "bpr"},
    "bpr, weight 0.1": {"loss.bpr.weight": 0.1},
    "listwise": {"loss.kind": "listwise"},
    "listwise, weight 0.1": {"loss.listwise.weight": 0.1},
    "jrc": {"loss.kind": "jrc"},
    "jrc, weight 0.1": {"loss.jrc.weight": 0.1},
    "huber": {"regression_loss.kind": "huber"},
    "weighted_logistic": {"regression_loss.kind": "weighted_logistic"},
    "quantile": {"regression_loss.kind": "quantile"},
    "bins": {"regression_loss.kind": "bins"},
    WITHOUT: {},
}
VARIANTS = {
    name: {key: value for part in name.split(", ") for key, value in OWN.get(part, {}).items()}
    | options
    for name, options in OWN.items()
}
"""Each has the options of the parts of its name, and its own. The first and all that do not say
otherwise: Shared-Bottom, up to 1000 ranges, no interaction."""


def store_of(data: str, home: Path, raw: Path, variant: str = FIRST) -> Store:
    """The data set with the tasks of its card, or those of `TASKS`."""
    if data == "hotel":
        store: Store = cpu.prepared(data, home, raw)
    else:
        card = load_card(TASKS[data][0] if data in TASKS else LATE if data == LISTS else data)
        if data == LISTS:
            assert card.history is not None
            past = card.history.model_copy(
                update={"lists": ("video_id", "author_id"), "length": 20}
            )
            card = card.model_copy(update={"history": past})
        store = prepare(card, home, raw / RAW.get(data, card.id) if card.files else None)
    names = TASKS[data][1] if data in TASKS else store.default_tasks
    kinds = {task.name: task.kind for task in store.schema.tasks}
    return store.with_tasks(
        [name for name in names if variant != WITHOUT or kinds[name] == "binary"]
    )


def draws(data: str, variant: str, count: int, tasks: Sequence[str]) -> list[dict[str, Scalar]]:
    """The configurations to try; those of networks differ between variants in the variant alone."""
    if variant == TREES:
        return configurations(tasks, count, derive(0, NAME))
    ranges = {**DRAWN, "optim.epochs": EPOCHS[data]}
    points = Sobol(1 + len(ranges), rng=np.random.default_rng(derive(0, NAME))).random_base2(10)[
        :count
    ]
    # of a parameter that is gone: the others keep their draws
    points = np.delete(points, len(DRAWN), axis=1)
    varied = VARIANTS[variant]
    configs = []
    for point in points.tolist():
        values = {
            name: low * (high / low) ** position
            for (name, (low, high)), position in zip(ranges.items(), point, strict=True)
        }
        configs.append({**FIXED, **values, **varied})
    return configs


def trained(
    store: Store, config: dict[str, Scalar], variant: str, replicate: int
) -> dict[str, Any]:
    """Metrics on validation and test, there of what is served too, and CPU seconds."""
    with TemporaryDirectory() as folder:
        return _trained(store, config, variant, replicate, Path(folder))


def _trained(
    store: Store, config: dict[str, Scalar], variant: str, replicate: int, folder: Path
) -> dict[str, Any]:
    tasks = store.schema.tasks
    served = default_outcomes(tasks, np.asarray(store.split("test").group))
    trees = variant == TREES
    job = Job(
        trial=None if trees else 0,
        replicate=replicate,
        config=config if trees else TrialConfig.parse(config).dotted(),
        store=str(store.path),
        seed=derive(replicate, NAME),
        splits=("valid", "confirm", "test") if replicate else ("valid",),
        objectives=tuple(primary(task, in_groups=False) for task in tasks),
        tasks=tuple(task.name for task in tasks),
        threads=1,
        outcomes=served if replicate else (),
        kind="trees" if trees else "trial",
        predictions=str(folder) if replicate else None,
    )
    started = process_time()
    metrics = run_job(job).metrics
    cpu_seconds = process_time() - started
    kept_metrics = {f"valid/{name}": metrics[f"valid/{name}"] for name in job.objectives}
    kept_metrics |= {name: value for name, value in metrics.items() if name.startswith("test/")}
    if replicate:
        write_rows(store, folder)
        for name, outcome in FRONTS.items():
            shares = ("recall" if task.kind == "binary" else "value" for task in tasks)
            outcomes = [
                f"{task.name}.{outcome.format(share=share)}"
                for task, share in zip(tasks, shares, strict=True)
            ]
            kept_metrics[f"test/{name}"] = front_of(
                folder, name_of(job.training, replicate), outcomes
            )
        if store.schema.scenario:
            predicted = predictions(folder, "test", name_of(job.training, replicate))
            assert predicted is not None
            kept_metrics |= by_scenario(store, predicted)
    return {
        "metrics": kept_metrics,
        "parameters": metrics.get("cost/parameters", 0),
        "cpu": cpu_seconds,
    }


def front_of(folder: Path, name: str, outcomes: Sequence[str]) -> float:
    """The hypervolume on test of the served front of kept predictions, whose weights confirmation
    rows choose.

    Each outcome is taken over that of a random order, as a share of the ideal's; of M tasks the
    M-th root is given.
    """
    objectives, by_split = [Objective(outcome, "maximize") for outcome in outcomes], []
    for split in ("confirm", "test"):
        rows, predicted = read_rows(folder, split), predictions(folder, split, name)
        assert rows is not None
        assert predicted is not None
        tasks = [Task(*description) for description in zip(rows.tasks, rows.kinds, strict=True)]
        measure = Measure(tasks, outcomes, rows)
        scores = (
            fused(setting.kind, predicted, setting.weights, rows.rates)
            for setting in Sweep(len(tasks)).settings
        )
        by_split.append(np.array([measure.values(score)[0] for score in scores]))
    best = on_front(by_split[0][None], np.ones((1, len(by_split[0])), np.bool_), objectives)[0]
    ideal = [
        measure.values(np.nan_to_num(labels))[0, number]
        for number, labels in enumerate(rows.labels.T)
    ]
    above = (by_split[1][best] - measure.random()) / (np.array(ideal) - measure.random())
    return float(
        hypervolume(above, objectives, dict.fromkeys(outcomes, 0.0)) ** (1 / len(outcomes))
    )


def by_scenario(store: Store, predicted: np.ndarray) -> dict[str, float]:
    """AUC and what is served, of joint predictions `predicted` (N, T) on test in each scenario."""
    test, tasks = store.split("test"), store.schema.tasks
    labels, group = joint_labels(np.asarray(test.labels), store.schema), np.asarray(test.group)
    names = [*(f"{task.name}.auc" for task in tasks), *default_outcomes(tasks, group)]
    codes = np.asarray(test.segments)[:, list(store.segments).index(SCENARIO)]
    scenarios = store.segments[SCENARIO]
    slices = [codes == code for code in range(len(scenarios))]
    measure, metrics = Measure(tasks, names, Labelled(labels, group), slices), {}
    each_head = [measure.values(head.astype(np.float64)) for head in predicted.T]
    for code, (value, inside) in enumerate(zip(scenarios, slices, strict=True)):
        for column, task in enumerate(tasks):
            if (labels[inside, column] > 0).sum() >= LEAST_IN_SLICE and (
                labels[inside, column] == 0
            ).sum() >= LEAST_IN_SLICE:
                values = dict(zip(names, each_head[column][code], strict=True))
                task_values = {
                    name: value
                    for name, value in values.items()
                    if name.startswith(f"{task.name}.")
                }
                metrics |= {
                    f"test/{name}[{SCENARIO}={value}]": float(measured_value)
                    for name, measured_value in task_values.items()
                }
    return metrics


def chosen(
    tasks: Sequence[str],
    variant: str,
    tried: Sequence[tuple[dict[str, Scalar], Mapping[str, float]]],
) -> Any:
    """The configuration of all tries that is best on validation; of trees, task by task."""
    if variant == TREES:
        return best_by_task(tasks, tried)
    return max(
        tried,
        key=lambda trial: sum(
            value for name, value in trial[1].items() if name.startswith("valid/")
        ),
    )[0]


def one(
    data: str,
    variant: str,
    options: argparse.Namespace,
    recorded: Mapping[tuple[str, str, str], Any],
) -> None:
    """Trains what is missing of a variant, a line of JSON for each training."""

    def result(config: dict[str, Scalar], replicate: int) -> dict[str, float]:
        key = (data, variant, f"{replicate} {json.dumps(config)}")
        if key not in recorded:
            line = {
                "key": key,
                "replicate": replicate,
                **trained(store, config, variant, replicate),
            }
            print(json.dumps(line), flush=True)
            return dict(line["metrics"])
        return dict(recorded[key]["metrics"])

    store = store_of(data, options.home, options.raw, variant)
    tasks = [task.name for task in store.schema.tasks]
    tried = [(config, result(config, 0)) for config in draws(data, variant, options.tries, tasks)]
    best = chosen(tasks, variant, tried)
    for replicate in range(1, options.seeds + 1):
        result(best, replicate)


def interval(differences: Sequence[float], unit: float = 1e4) -> str:
    """Mean and 90% interval (Student's t over seeds), in units of .0001; of numbers in a label's
    unit in that.
    """
    if len(differences) < 2:
        return f"{unit * np.mean(differences):+.1f}"
    low, high = ends(differences)
    return f"{unit * np.mean(differences):+.1f} ({unit * low:+.1f} to {unit * high:+.1f})"


def ends(differences: Sequence[float]) -> tuple[float, float]:
    """Of the 90% interval of a mean of two differences or more."""
    mean = float(np.mean(differences))
    reach = t.ppf(0.95, len(differences) - 1) * np.std(differences, ddof=1)
    half = float(reach / np.sqrt(len(differences)))
    return mean - half, mean + half


def table(
    lines: Sequence[dict[str, Any]],
    data_sets: Sequence[str],
    variants: Sequence[str],
    outcomes: Sequence[str] = (),
    against: str = FIRST,
    file: Path | None = None,
) -> str:
    """Tables of each data set: a row for each variant, a column for each outcome (all, or those
    given). With a file, which then has all leads, one table for all data sets that counts them.

    A cell has the lead over `against` on test, or the mean of `against` itself. Where trees are a variant, a last
    table counts by outcome which others are surely above or below them.
    """
    by_data: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for line in lines:
        if line["replicate"]:
            data, variant = line["key"][:2]
            by_data.setdefault(data, {}).setdefault(variant, {})[line["replicate"]] = line
    parts = []
    beside_trees: list[str] = []
    all_leads: list[dict[str, str]] = []
    for data in data_sets:
        first = by_data.get(data, {}).get(against)
        if first is None:
            continue
        by_variant = {
            variant: by_data[data][variant] for variant in variants if variant in by_data[data]
        }
        some = next(iter(first.values()))["metrics"]
        names = [key.removeprefix("test/") for key in some if key.startswith("test/")]
        usual = [name for name in names if f"valid/{name}" in some or ranked(metric_of(name))]
        shown_names = [name for name in names if name in (outcomes or usual)]
        parts.append(_leads(f"{data}, ahead of `{against}`", by_variant, shown_names, first))
        all_leads += leads(data, by_variant, shown_names, against)
        if TREES in by_variant and against != TREES:
            beside_trees += _beside_trees(data, by_variant, shown_names)
    if file is not None:
        write_text(file, pd.DataFrame(all_leads).to_csv(index=False))
        parts = [counted(all_leads)]
    if beside_trees:
        parts.append("\n".join([*BESIDE_TREES, *beside_trees]))
    return "\n\n".join(parts)


def leads(
    data: str,
    by_variant: Mapping[str, Mapping[int, dict[str, Any]]],
    outcomes: Sequence[str],
    against: str,
) -> list[dict[str, str]]:
    """A row for each variant and outcome of a data set: mean on test, and lead with its interval in
    .0001.
    """
    rows = []
    for variant, by_seed in by_variant.items():
        for name in outcomes:
            means = [line["metrics"].get(f"test/{name}") for line in by_seed.values()]
            if None in means:
                continue
            gains = paired(by_seed, by_variant[against], name) if variant != against else []
            low, high = ends(gains) if len(gains) > 1 else (math.nan, math.nan)
            lead = float(np.mean(gains)) if gains else math.nan
            rows.append(
                {"data": data, "against": against, "variant": variant, "outcome": name}
                | {"mean": f"{np.mean(means):.5f}"}
                | {
                    title: f"{1e4 * value:+.1f}" if math.isfinite(value) else ""
                    for title, value in (("lead", lead), ("low", low), ("high", high))
                }
            )
    return rows


def counted(rows: Sequence[dict[str, str]]) -> str:
    """By variant and data set in how many outcomes it is surely above the first variant, and in how
    many below.
    """
    data_sets = list(dict.fromkeys(row["data"] for row in rows))
    heads = ["variant: surely above, below"]
    for data in data_sets:
        number = len({row["outcome"] for row in rows if row["data"] == data})
        heads.append(f"{data}, of {number}")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for variant in dict.fromkeys(row["variant"] for row in rows if row["low"]):
        cells = []
        for data in data_sets:
            found = [
                row
                for row in rows
                if (row["variant"], row["data"]) == (variant, data) and row["low"]
            ]
            above = sum(float(row["low"]) > 0 for row in found)
            below = sum(float(row["high"]) < 0 for row in found)
            cells.append(f"{above}, {below}" if found else "")
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


BESIDE_TREES = (
    "| data | outcome | variants surely above trees | surely below | largest lead | of |",
    "|---|---|---|---|---|---|",
)


def _beside_trees(
    data: str,
    by_variant: Mapping[str, Mapping[int, dict[str, Any]]],
    outcomes: Sequence[str],
) -> list[str]:
    """By outcome how many variants are surely above trees and below them, and the largest lead."""
    rows = []
    for name in outcomes:
        found = {
            variant: gains
            for variant, by_seed in by_variant.items()
            if variant != TREES and len(gains := paired(by_seed, by_variant[TREES], name)) > 1
        }
        if not found:
            continue
        above = sum(ends(gains)[0] > 0 for gains in found.values())
        below = sum(ends(gains)[1] < 0 for gains in found.values())
        best = max(found, key=lambda variant: np.mean(found[variant]))
        lead = interval(found[best], 100.0 if _in_units(name) else 1e4)
        rows.append(f"| {data} | {name} | {above} of {len(found)} | {below} | {lead} | {best} |")
    return rows


def paired(
    by_seed: Mapping[int, dict[str, Any]], baseline: Mapping[int, dict[str, Any]], name: str
) -> list[float]:
    """Differences in an outcome on test, by seed."""
    key = f"test/{name}"
    return [
        by_seed[seed]["metrics"][key] - baseline[seed]["metrics"][key]
        for seed in by_seed.keys() & baseline.keys()
        if key in by_seed[seed]["metrics"] and key in baseline[seed]["metrics"]
    ]


def _leads(
    title: str,
    by_variant: Mapping[str, Mapping[int, dict[str, Any]]],
    outcomes: Sequence[str],
    baseline: Mapping[int, dict[str, Any]],
) -> str:
    """One table; a variant with fewer seeds than others says how many."""
    most_seeds = max(map(len, by_variant.values()))
    heads = [title, *(f"{name}, hundredths" if _in_units(name) else name for name in outcomes)]
    rows = [[*heads, "CPU s"]]
    for variant, by_seed in by_variant.items():
        cells = [variant + (f" ({len(by_seed)} seeds)" if len(by_seed) < most_seeds else "")]
        for name in outcomes:
            key = f"test/{name}"
            if key not in next(iter(by_seed.values()))["metrics"]:
                cells.append("")
                continue
            gains = paired(by_seed, baseline, name)
            mean = f"{np.mean([line['metrics'][key] for line in by_seed.values()]):.5f}"
            lead = (
                ""
                if by_seed is baseline or not gains
                else interval(gains, 100.0 if _in_units(name) else 1e4)
            )
            cells.append(lead or mean)
        rows.append([*cells, f"{np.mean([line['cpu'] for line in by_seed.values()]):.1f}"])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _in_units(name: str) -> bool:
    """Whether an outcome is in the unit of its label."""
    return name.endswith((".rmse", ".mae"))


def main() -> None:
    """Trains what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--tries", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("inputs.jsonl"))
    parser.add_argument(
        "--against", choices=VARIANTS, default=FIRST, help="variant that others are compared with"
    )
    parser.add_argument("--block", default=NAME, help="name of the table there")
    parser.add_argument(
        "--outcome", nargs="+", default=[], help="rows of the table; all by default"
    )
    parser.add_argument(
        "--leads", type=Path, help="CSV file for all leads; the document then counts them"
    )
    # what a process is begun with
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    lines = (
        [json.loads(line) for line in options.out.read_text().splitlines()]
        if options.out.exists()
        else []
    )
    if options.one:
        keep_freed_memory()
        torch.set_num_threads(1)
        one(
            options.data[0],
            options.variant[0],
            options,
            {tuple(line["key"]): line for line in lines},
        )
        return
    for data in options.data:
        store_of(data, options.home, options.raw)

    def run(data: str, variant: str) -> None:
        command = [sys.executable, __file__, "--one", "--data", data, "--variant", variant]
        for name in ("raw", "home", "out", "tries", "seeds"):
            command += [f"--{name}", str(getattr(options, name))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for text in process.stdout:
                with options.out.open("a") as file:
                    file.write(text)
                lines.append(json.loads(text))
                print(lines[-1]["key"], lines[-1]["metrics"], file=sys.stderr, flush=True)
        if process.returncode:
            print(f"{variant} on {data} failed: exit code {process.returncode}", file=sys.stderr)

    with ThreadPoolExecutor(options.workers) as pool:
        list(
            pool.map(
                lambda pair: run(*pair),
                [(data, variant) for data in options.data for variant in options.variant],
            )
        )
    text = table(
        lines, options.data, options.variant, options.outcome, options.against, options.leads
    )
    print(text)
    replace(options.write, options.block, text)


if __name__ == "__main__":
    main()
