"""Whole searches of `quick` by what is served and by AUC, in pairs: what their picks serve in
truth, and the cost.

    python studies/served_searches.py --keep FOLDER [--seeds 8] [--datasets user-feed ..] [--arms
    within auc hand]
        [--workers 1] [--limit-time 2h] [--raw DIR] [--out reports/blackbox/searches.jsonl]
        [--write docs/studies/search.md]

The data are those of `served_table.py`. Both arms have the budget, the seed and the baselines of
`quick`. `within` is `quick` as it is. `auc` has AUC of each task as objectives, the log loss alone
and numbers by ranges, as a search that looks at all rows has. `hand` has `ndcg@5` as objectives,
the loss `jrc` and numbers as pieces of a line, which somebody found to be good on KuaiRand. None
begins with a portfolio that has seen the data set. U is the mean logarithm of the served outcomes
in truth of what the run picks, the mean over its replicates. A second pick is by the largest U on
validation and confirmation rows, of networks and of boosted trees. FOLDER keeps the runs, `--out` a
line for each; none that has one is run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from blackbox_table import SUITE, UNSEEN, append, name_of, read_lines
from learn_portfolio import SIZE, known_of, learn_served, learnt_without, served_regrets, single_of
from scipy.stats import t
from served_table import DATASETS, LOGS, truth_of, utility
from speed.table import replace as replace_table

from bench.api import load_run
from bench.app.cli import main as seesaw
from bench.app.runs.suite import SuiteDataset, seconds
from bench.app.runs.suite_objectives import resolve_objectives
from bench.core.records import Point
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.data import load_card
from bench.ledger.fusion import Fusion, fused
from bench.ledger.points import confirmed
from bench.measure.predictions import FOLDER, predictions
from bench.measure.predictions import name_of as file_of
from bench.search import plan

ARMS = ("within", "auc", "hand")
FIXED = {
    "within": (),
    "auc": ("loss.kind=log", "numeric.kind=bucket"),
    "hand": ("loss.kind=jrc", "numeric.kind=piecewise_linear"),
}
TREES = "trees"
LEVEL = 0.05
"""Of the two-sided intervals of paired differences."""


def suite_of(dataset: str, arm: str) -> str:
    """The suite `quick` on a data set, as text."""
    quick = Path("reports/quick/suite.toml").read_text(encoding="utf-8")
    rest = quick[quick.index("[budget]") :]
    card = DATASETS[dataset]
    tasks = tuple(task for task in load_card(card).tasks if task.name in tasks_of(dataset))
    aims = [
        objective.name for objective in resolve_objectives(SuiteDataset(id=card), tasks, ranked=())
    ]
    if arm == "hand":
        aims = [f"{task}.ndcg@5" for task in tasks_of(dataset)]
    listed = "" if arm == "within" else f"objectives = {json.dumps(aims)}\n"
    card_id = str(Path(card).resolve()) if card.endswith(".toml") else card
    return (
        f'title = "{dataset}, {arm}"\nspace = "quick"\n\n[[datasets]]\nid = '
        f'"{card_id}"\n{listed}\n{rest}'
    )


def portfolios(dataset: str, keep: Path) -> list[dict[str, Any]]:
    """The file of portfolios without what was learnt on the data set."""
    path = keep / f"portfolios-{dataset}.json"
    if not path.exists():
        file = tomllib.loads(
            Path("search_spaces/portfolio/learnt.toml").read_text(encoding="utf-8")
        )["portfolios"]
        regrets, names, configs = served_regrets(Path("reports/blackbox/served.parquet"))
        other_regrets = np.delete(regrets, names.index(dataset), axis=1)
        file[-1]["configurations"] = [
            configs[number] for number in learn_served(other_regrets, single_of(configs), SIZE)
        ]
        tables = [name for entry in SUITE.datasets if (name := name_of(entry.id)) not in UNSEEN]
        if (name := DATASETS[dataset]) in tables:
            known_and_candidates = known_of(tables, Path("reports/blackbox/table.parquet"))
            for portfolio in file[:-1]:
                portfolio["configurations"] = list(learnt_without(name, *known_and_candidates))
        path.write_text(json.dumps(file), encoding="utf-8")
    recorded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return recorded


def ran(dataset: str, arm: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run in a process of its own, as a line: what it picked, and what it cost."""
    words = [
        sys.executable,
        __file__,
        "--keep",
        str(options.keep),
        "--one",
        dataset,
        arm,
        str(seed),
    ]
    if options.raw:
        words += ["--raw", str(options.raw)]
    with open(options.keep / f"{dataset}-{arm}-{seed}.log", "w", encoding="utf-8") as log:
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    head = {"dataset": dataset, "arm": arm, "seed": seed}
    cost = {"cpu": usage.ru_utime + usage.ru_stime, "seconds": time.monotonic() - began}
    if status:
        return head | cost | {"failure": f"status {status}"}
    return head | cost | {"failure": None}


def one(dataset: str, arm: str, seed: int, options: argparse.Namespace) -> int:
    """The run itself."""
    keep = options.keep
    suite = keep / f"{dataset}-{arm}.toml"
    suite.write_text(suite_of(dataset, arm), encoding="utf-8")
    raw = options.raw / dataset if options.raw and (options.raw / dataset).exists() else None
    words = [
        "run",
        str(suite),
        "--seed",
        str(seed),
        "--name",
        f"{dataset}-{arm}-{seed}",
        "--home",
        str(keep),
    ]
    words += ["--raw", str(raw)] if raw else []
    words += [word for text in FIXED[arm] for word in ("--set", text)]
    with patch.object(plan, "read", lambda: portfolios(dataset, keep)):
        return seesaw(words)


def tasks_of(dataset: str) -> tuple[str, ...]:
    """The data set's tasks."""
    return (
        ("click", "long_view", "like")
        if dataset == "kuairand-pure"
        else ("click", "purchase", "like")
    )


def measured(dataset: str, arm: str, seed: int, keep: Path) -> dict[str, Any]:
    """The worth of what a finished run picked, by the truth of its data."""
    result = load_run(f"{dataset}-{arm}-{seed}", keep).found
    store = result.run.store
    assert store is not None
    assert result.decision.pick is not None
    assert result.decision.pick.weights is not None
    truth = truth_of(dataset, str(store.path), tasks_of(dataset))
    folder = result.run.folder / FOLDER
    points = {point.id: point for point in result.decision.frontier.points if confirmed(point)}

    def read(point: Point) -> dict[str, list[np.ndarray]]:
        by_split = {}
        for split in (SEARCH, CONFIRM, TEST):
            replicates = [
                predictions(folder, split, file_of(point.training, run.replicate))
                for run in point.replicates
            ]
            by_split[split] = [predicted for predicted in replicates if predicted is not None]
        return by_split

    def served(predicted: Mapping[str, list[np.ndarray]], split: str, fusion: Fusion) -> np.ndarray:
        scores = [
            fused(fusion.kind, replicate, fusion.weights, truth.rates)
            for replicate in predicted[split]
        ]
        return np.mean([truth.values(split, score) for score in scores], axis=0)

    def best(contenders: list[Point]) -> dict[str, Any]:
        choices = []
        for point in contenders:
            predicted = read(point)
            for setting in truth.settings:
                selected = np.mean(
                    [utility(served(predicted, split, setting)) for split in (SEARCH, CONFIRM)]
                )
                choices.append((float(selected), len(choices), point, setting))
        _, _, point, setting = max(choices, key=lambda choice: choice[:2])
        outcomes = served(read(point), TEST, setting)
        return {"point": point.id, "U": utility(outcomes), "outcomes": outcomes.tolist()}

    table = result.decision.serving.served.wide
    columns = [f"test/{name}" for name in truth.names]
    trials = {point.id for point in points.values() if point.kind == "trial"}
    of_trees = [point for point in points.values() if point.kind == TREES]
    pick = result.decision.pick
    outcomes = served(
        read(points[pick.point]), TEST, Fusion.of(pick.kind, list(pick.weights.values()))
    )
    return {
        "pick": result.decision.pick.point,
        "U": utility(outcomes),
        "outcomes": outcomes.tolist(),
        "best": best([point for point in points.values() if point.id in trials]),
        "trees": best(of_trees),
        "largest": table[table["point"].isin(trials)][columns].max().tolist(),
        "largest of trees": table[table["point"].isin([point.id for point in of_trees])][columns]
        .max()
        .tolist(),
        "kind": result.decision.verdict.kind,
        "said": result.decision.verdict.sentence,
    }


def mean_and_interval(differences: np.ndarray) -> tuple[float, float, float]:
    """The mean of paired differences and its interval."""
    n = len(differences)
    half = (
        t.ppf(1 - LEVEL / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    )
    return (
        float(differences.mean()),
        float(differences.mean() - half),
        float(differences.mean() + half),
    )


def tables(frame: pd.DataFrame) -> str:
    """In Markdown: pairs of searches, and networks against trees."""
    lines = [
        "| data | pairs | U of the pick, by what is served less by AUC, %: mean, 95% interval | "
        "at the best weights | against boosted trees at their best weights | CPU minutes: by what "
        "is served, by AUC |",
        "|---|---|---|---|---|---|",
    ]
    rows = frame[frame["arm"] != "hand"]
    pairs = rows.pivot_table(
        index=["dataset", "seed"], columns="arm", values=["U", "best U", "trees U", "cpu"]
    ).dropna()

    def told(values: np.ndarray) -> str:
        mean, low, high = mean_and_interval(100 * values)
        return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"

    parts = [(name, pairs.loc[name]) for name in dict.fromkeys(pairs.index.get_level_values(0))]
    for name, rows in parts:
        lines.append(_line(str(name), len(rows), rows, told))
    if not parts:
        return "\n".join(lines)
    everywhere = sorted(set.intersection(*(set(rows.index) for _, rows in parts)))
    mean = pd.concat([rows.loc[everywhere] for _, rows in parts]).groupby("seed").mean()
    lines.append(_line("mean of the data sets", len(mean), mean, told))
    return "\n".join(lines)


def _line(name: str, count: int, rows: pd.DataFrame, as_text: Any) -> str:
    served_lead = rows["U"]["within"] - rows["U"]["auc"]
    best = rows["best U"]["within"] - rows["best U"]["auc"]
    trees = rows["best U"]["within"] - rows["trees U"]["within"]
    cost = rows["cpu"].mean() / 60
    return (
        f"| {name} | {count} | {as_text(served_lead.to_numpy())} | {as_text(best.to_numpy())} | "
        f"{as_text(trees.to_numpy())} | {cost['within']:.1f}, {cost['auc']:.1f} |"
    )


def columns(frame: pd.DataFrame, dataset: str) -> str:
    """In Markdown, the largest of each outcome on test: of networks, of the same runs' boosted
    trees, and of networks by settings that were found by hand."""
    runs = frame[frame["dataset"] == dataset].set_index(["arm", "seed"])
    networks = runs.loc["within"]
    hand = runs.loc["hand"] if "hand" in runs.index else runs.iloc[:0].reset_index("arm")
    common = networks.index.intersection(hand.index)
    several = len(common) > 1
    heads = [
        "outcome",
        f"networks, mean of {len(networks)} runs",
        "boosted trees",
        "difference, 95% interval",
    ]
    heads += [f"set by hand, {len(common)} runs", "difference, 95% interval"] * several
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]

    def largest(runs: pd.DataFrame, name: str, column: int) -> np.ndarray:
        return np.array([outcomes[column] for outcomes in runs[name]])

    def apart(first_values: np.ndarray, second_values: np.ndarray) -> list[str]:
        mean, low, high = mean_and_interval(first_values - second_values)
        return [f"{second_values.mean():.4f}", f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"]

    parts: list[tuple[str, Callable[[pd.DataFrame, str], np.ndarray]]] = [
        (f"{task}.ndcg@5", partial(largest, column=column))
        for column, task in enumerate(tasks_of(dataset))
    ]
    parts.append(
        (
            "mean logarithm",
            lambda runs, name: np.array([utility(np.array(outcomes)) for outcomes in runs[name]]),
        )
    )
    for name, values_of in parts:
        values = values_of(networks, "largest")
        cells = [
            name,
            f"{values.mean():.4f}",
            *apart(values, values_of(networks, "largest of trees")),
        ]
        if several:
            cells += apart(
                values_of(networks.loc[common], "largest"), values_of(hand.loc[common], "largest")
            )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--datasets", nargs="+", default=LOGS, choices=LOGS)
    parser.add_argument("--arms", nargs="+", default=list(ARMS[:2]), choices=ARMS)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit-time", type=seconds, default=math.inf)
    parser.add_argument(
        "--raw", type=Path, help="folder with a folder of raw files for each data set"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/blackbox/searches.jsonl"))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help="put the tables into this document")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.one:
        dataset, arm, seed = options.one
        raise SystemExit(one(dataset, arm, int(seed), options))
    path, began = options.out, time.monotonic()
    finished = {
        (line["dataset"], line["arm"], line["seed"])
        for line in read_lines(path)
        if not line["failure"]
    }
    waiting = [
        key
        for seed in range(1, options.seeds + 1)
        for dataset in options.datasets
        for arm in options.arms
        if (key := (dataset, arm, seed)) not in finished
    ]

    for dataset in {name for name, _, _ in waiting}:
        portfolios(dataset, options.keep)  # not within a run, whose time is taken

    def work(key: tuple[str, str, int]) -> None:
        if time.monotonic() - began < options.limit_time:
            line = ran(*key, options)
            if not line["failure"]:
                line |= measured(*key, options.keep)
            append(path, line)
            print(
                *key,
                line["failure"] or f"U {line['U']:.4f}",
                f"{line['cpu']:.0f} CPU s",
                flush=True,
            )

    with ThreadPoolExecutor(options.workers) as pool:
        list(pool.map(work, waiting))
    lines = [line for line in read_lines(path) if not line["failure"]]
    frame = pd.DataFrame(
        [line | {"best U": line["best"]["U"], "trees U": line["trees"]["U"]} for line in lines]
    )
    print(searches_table := tables(frame))
    if ((frame["dataset"] == "kuairand-pure") & (frame["arm"] == "within")).any():
        print(columns(frame, "kuairand-pure"))
    if options.write:
        replace_table(options.write, "served-searches", searches_table)


if __name__ == "__main__":
    main()
