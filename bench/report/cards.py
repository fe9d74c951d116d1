"""What the page knows of each trial, once for all figures and tables of a section: for scripts to read."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bench.records import Scalar
from bench.report import text
from bench.report.findings import Id
from bench.report.view import PageView, Spread, Trial
from bench.rows import REPLICATED, SHORT

SPLITS = tuple(SHORT[split] for split in REPLICATED)
DETAILED = 1000
"""Of more points, only so many bring their curves and diagnosis, the first of `PageView.order`."""


def cards(view: PageView) -> dict[str, Any]:
    """For each point what is written of it, and the numbers behind.

    Names of parameters stand once in `names`, and a trial has `[[index of name, value], ...]`: thousands of trials
    repeat them. `measured` is `[[search, confirmation rows, test] of each objective]` in words; `numbers` the same as
    the search's value and `[mean, standard deviation, replicates, low, high]` of each split, the last two the ends of
    the mean's 90% interval.
    """
    names = list(dict.fromkeys(name for trial in view.trials for name, _ in trial.params))
    index = {name: i for i, name in enumerate(names)}
    picked, detailed = view.picked.id if view.picked else None, set(view.order[:DETAILED])
    return {
        "axes": [{"label": axis.label, "name": axis.name} for axis in view.axes],
        "splits": SPLITS,
        "names": names,
        "order": view.order,
        "dataset": view.dataset,
        "train": view.train,
        "deploy": view.deploy,
        "mlflow": view.mlflow,
        "trials": {
            trial.id: {
                "title": _title(view, trial, picked),
                "number": trial.number,
                "samples": trial.samples,
                "until": trial.until,
                "architecture": trial.architecture,
                "sharing": trial.sharing,
                "balancing": trial.balancing,
                "front": trial.on_front,
                "picked": trial.id == picked,
                "sure": trial.p_nondominated,
                "values": trial.values,
                "measured": [_measured(trial, i) for i in range(len(view.axes))],
                "numbers": [
                    [trial.seen[i], _numbers(trial.confirm[i]), _numbers(trial.test[i])] for i in range(len(view.axes))
                ],
                "params": [[index[name], _plain(value)] for name, value in trial.params],
                **({"diagnosis": trial.diagnosis, **asdict(trial.detail)} if trial.id in detailed else {}),
            }
            for trial in view.trials
        },
    }


def _title(view: PageView, trial: Trial, picked: Id | None) -> str:
    words = [f"Trial {trial.number}: {trial.architecture}, {trial.balancing}"]
    if trial.samples is not None:
        words.append(text.length(trial.samples, trial.until, view.full))
    if trial.id == picked:
        words.append("picked")
    elif trial.on_front:
        words.append("on the front")
    return ", ".join(words)


def _measured(trial: Trial, i: int) -> list[str]:
    spreads = (trial.confirm[i], trial.test[i])
    return [text.number(trial.seen[i]), *("" if each is None else text.spread(each) for each in spreads)]


def _numbers(spread: Spread | None) -> list[float | None] | None:
    return None if spread is None else [spread.mean, spread.sd, spread.runs, *(spread.interval or (None, None))]


def _plain(value: Scalar) -> Scalar:
    """JSON has no NaN and no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
