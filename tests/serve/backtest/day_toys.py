"""A log of twelve days with two tasks, whose items come and go, and a plan to test two models on
its last days.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.core.objectives import parse
from bench.core.records import Point
from bench.core.system.progress import Silent
from bench.data import parse_card
from bench.data.card import Card
from bench.deciding.aims import PolicyAim
from bench.deciding.retraining import Length
from bench.ledger.fusion import Fusion
from bench.serve.backtest.cut_by_cut import BacktestPlan, RankedPoint
from bench.serve.backtest.cuts import times_of
from bench.serve.retrain import PartOrder

DAYS, ROWS = 12, 300
NETWORK = {
    "sharing.kind": "shared_bottom",
    "embedding.dim": 4,
    "tower.layers": "8",
    "optim.epochs": 2,
    "optim.batch_size": 128,
    "optim.lr": 0.01,
}


def log(days=DAYS, rows=ROWS, drift=0.0, seed=0):
    """Each day has a window of items, which moves on; tastes move by `drift` a day."""
    rng = np.random.default_rng(seed)
    taste, moving, buying = rng.normal(size=(3, 40 + 4 * days))
    frames = []
    for day in range(days):
        item, x = rng.integers(4 * day, 4 * day + 40, rows), rng.normal(size=rows)
        click = taste[item] + drift * day * moving[item] + x
        labels = {"click": click, "buy": buying[item] - 1}
        drawn = {
            name: (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
            for name, logit in labels.items()
        }
        date = str((pd.Timestamp("2024-03-01") + pd.Timedelta(days=day)).date())
        frames.append(
            pd.DataFrame(
                {"date": date, "user": rng.integers(0, 50, rows), "item": item, "x": x} | drawn
            )
        )
    return pd.concat(frames, ignore_index=True)


ABOUT = dict.fromkeys(["title", "licence", "citation", "homepage"], "-") | {
    "reader": {"kind": "csv"},
    "files": [{"name": "log.csv"}],
}
CARD = ABOUT | {
    "id": "days",
    "time": "date",
    "tasks": [{"name": "click", "column": "click"}, {"name": "buy", "column": "buy"}],
    "split": {
        "kind": "time",
        "train": {"last": "2024-03-05"},
        "valid": {"first": "2024-03-06", "last": "2024-03-07"},
        "test": {"first": "2024-03-08"},
    },
    "columns": {"item": "categorical", "x": "numeric"},
    "encoding": {"target_rates": ["item"]},
}


@dataclass(frozen=True)
class Log:
    card: Card
    raw: Path
    home: Path

    def times(self, column=None):
        return times_of(self.card, self.home, self.raw, column, Silent())

    def plan(self, how="anew", cuts=5, window="", tried=("first", "second"), chosen=None):
        times, tasks = self.times(), self.card.tasks
        outcomes = tuple(parse(f"{task.name}.recall@10%", tasks, "here") for task in tasks)
        objectives = tuple(parse(f"{task.name}.auc", tasks, "here") for task in tasks)
        configs = {"first": NETWORK, "second": NETWORK | {"sharing.kind": "single_task"}} | (
            chosen or {}
        )
        ranked = {
            name: RankedPoint(
                Point(name, configs[name], "baseline"),
                (PartOrder(configs[name], Length(2.0), (1.0, 1.0)),),
                Fusion.of("power", [1.0, 1.0]),
            )
            for name in tried
        }
        aim = PolicyAim("the policy", "knee", (0.5, 0.5), (0.0, 0.0), (0.0, 0.0), True)
        cut_list = times.cuts(cuts, None)
        rates = [0.5, 0.3]
        return BacktestPlan(
            times,
            tuple(cut_list),
            ranked,
            tried[-1],
            how,
            window,
            tasks,
            outcomes,
            objectives,
            aim,
            rates,
            1,
        )


def made(folder, **options):
    raw = folder / "raw"
    raw.mkdir()
    log(**options).to_csv(raw / "log.csv", index=False)
    return Log(parse_card(CARD, "here"), raw, folder / "home")
