"""What the page shows of the trial under the pointer, once for all figures of a section."""

from __future__ import annotations

from typing import Any

from bench.report import text
from bench.report.view import Id, PageView, Trial

SPLITS = ("search", "validation", "test")
LARGE = 1000
"""Points from which on only confirmed ones and those on the front bring their diagnosis, so that a page stays small."""
ANGLES = ("gradients of", "where", "mean cosine", "below 0")


def cards(view: PageView) -> dict[str, Any]:
    """For each point its title, `[[search, validation, test] of each objective]`, `[[index of name, value], ...]`,
    and what holds its tasks back: sentences, and `[tasks, where, mean cosine, below 0]` of their gradients.

    Names of parameters stand once in `names`: thousands of trials repeat them.
    """
    names = list(dict.fromkeys(name for trial in view.trials for name, _ in trial.params))
    index = {name: i for i, name in enumerate(names)}
    picked, large = view.picked.id if view.picked else None, len(view.trials) > LARGE
    return {
        "axes": [axis.label for axis in view.axes],
        "splits": SPLITS,
        "names": names,
        "angles": ANGLES,
        "trials": {
            trial.id: [
                _title(view, trial, picked),
                [_measured(trial, i) for i in range(len(view.axes))],
                [[index[name], value] for name, value in trial.params],
                *((trial.diagnosis, trial.angles) if not large or trial.confirmed or trial.on_front else ((), ())),
            ]
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
    spreads = (trial.valid[i], trial.test[i])
    return [text.number(trial.seen[i]), *("" if each is None else text.spread(each) for each in spreads)]
