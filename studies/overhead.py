"""What the driver itself costs a job, up to 5,000 trials: CPU time with training that takes none.

    python studies/overhead.py [--trials 5000] [--write docs/studies/performance.md] [--whole]

Each row is the mean over the last 50 jobs before that number of trials. Trials farther from a row
are drawn at random, as what matters is how many there are; with `--whole` all are proposed.
`tracking` below stands for the other work of a run on each record; to measure a run's MLflow part,
hand in its own.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from speed.table import replace, writer

from bench.app.runs.search_limits import ladder
from bench.core.objectives import Objective
from bench.core.records import Job, Scalar, TrialRecord, TrialResult
from bench.core.seeds import derive
from bench.core.system.progress import Silent
from bench.search import driver
from bench.search import tree as trees
from bench.search.executors import InlineExecutor
from bench.search.gp import Proposals
from bench.search.log import Log
from bench.search.plan import SearchPlan
from bench.search.space import load_space
from bench.search.standing import JobHistory
from bench.search.study import Study

AT = (100, 500, 1000, 2000, 5000)
WINDOW = 50
TASKS = ("click", "buy")
OBJECTIVES = (Objective("click.auc", "maximize"), Objective("buy.auc", "maximize"))
FULL = 1 << 20
SEARCHES = {
    "tpe": {"sampler": "tpe"},
    "gp by rungs": {"sampler": "gp", "ladder": ladder(FULL // 16, 4, FULL), "eta": (2.0,)},
}
PARTS = ("decide", "propose", "ask", "finish", "tell", "log")


def train(job: Job) -> TrialResult:
    """Two values that pull apart and rise with samples; 30 evaluations, as a run keeps them."""
    draws = [
        int(hashlib.md5(f"{key}={value}".encode()).hexdigest()[:6], 16) / 16**6
        for key, value in job.config.items()
    ]
    lean, level = draws[0], sum(draws) / len(draws)
    missing = 0.1 * (1 - (job.until or FULL) / FULL)
    values = {
        "click.auc": 0.6 + 0.2 * level + 0.1 * lean - missing,
        "buy.auc": 0.7 + 0.2 * level - 0.1 * lean - missing,
    }
    curve = [
        {"samples": float(step), "epoch": step / 30, **values, "loss/click": 0.1, "loss/buy": 0.1}
        for step in range(30)
    ]
    metrics = {f"valid/{name}": value for name, value in values.items()}
    metrics |= {
        f"valid/{task}.{metric}": 0.5
        for task in TASKS
        for metric in ("logloss", "ne", "pcoc", "ece", "gauc")
    }
    return TrialResult(metrics, {"train_seconds": 10.0}, curve, dict(job.config))


def make_job(point: Any, replicate: int, splits: Any) -> Job:
    """A job that trains nothing."""
    return Job(
        point.number,
        replicate,
        dict(point.config),
        "-",
        0,
        splits,
        ("click.auc", "buy.auc"),
        TASKS,
        1,
    )


def tracking(study: Study) -> Callable[[TrialRecord], None]:
    """What is done with each record besides the search: here nothing."""
    return lambda record: None


class Clock:
    """CPU seconds by part; what one part does within another counts for the inner one alone."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its CPU seconds added to a part."""

        def wrapped(*args: Any, **options: Any) -> Any:
            began = process_time()
            self._inner.append(0.0)
            try:
                return function(*args, **options)
            finally:
                took = process_time() - began
                self.spent[part] += took - self._inner.pop()
                self._inner[-1] += took

        return wrapped

    @contextmanager
    def on(self, study: Study) -> Iterator[None]:
        """Times the parts of a search."""
        places = [
            (driver, "decide", "decide"),
            (Proposals, "next", "propose"),
            (Study, "ask", "ask"),
        ]
        places += [(Study, "promote", "ask"), (Study, "finish", "finish"), (Study, "tell", "tell")]
        places += [(Log, "append", "log")]
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        try:
            for owner, name, part in places:
                setattr(owner, name, self.timed(part, getattr(owner, name)))
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)


def at_random(
    plan: SearchPlan, marks: list[int], proposals: Callable[..., Any]
) -> Callable[..., Any]:
    """`Proposals.next` for trials near a mark; a random configuration for all others."""

    def wrapped(self: Proposals, ledger: JobHistory, configs: Any) -> Mapping[str, Scalar]:
        number = ledger.trials
        if any(mark - WINDOW - 10 <= number <= mark for mark in marks):
            proposal: Mapping[str, Scalar] = proposals(self, ledger, configs)
            return proposal
        names = {name for name, _, _ in trees.leaves(plan.space.tree, plan.tasks)}
        config = plan.space.sample(
            np.random.default_rng(derive(plan.seed, "forward", number)), plan.tasks
        )
        return {name: value for name, value in config.items() if name in names}

    return wrapped


def measure(name: str, trials: int, whole: bool = False) -> list[dict[str, float]]:
    """Milliseconds a job at each number of trials."""
    plan = SearchPlan(load_space("joint"), TASKS, OBJECTIVES, trials, 0, tries=2, **SEARCHES[name])
    rows, marks = [], [mark for mark in AT if mark <= trials]
    with ExitStack() as stack, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with Study.open(folder, plan) as study:
            clock, on_record = Clock(), tracking(study)
            since: list[tuple[float, dict[str, float]]] = []

            def on_trial(record: TrialRecord) -> None:
                clock.timed("tracking", on_record)(record)
                since.append((process_time(), dict(clock.spent)))
                if marks and study.history.trials >= marks[0]:
                    (then, before), (now, spent) = since[-1 - WINDOW], since[-1]
                    parts = {
                        part: (spent.get(part, 0) - before.get(part, 0)) / WINDOW * 1e3
                        for part in PARTS
                    }
                    rows.append(
                        {"trials": marks.pop(0), "all": (now - then) / WINDOW * 1e3, **parts}
                    )
                    print(
                        name,
                        {key: round(value, 1) for key, value in rows[-1].items()},
                        file=sys.stderr,
                        flush=True,
                    )
                del since[: -2 * WINDOW]

            with clock.on(study):
                if not whole:
                    stack.callback(setattr, Proposals, "next", Proposals.next)
                    Proposals.next = at_random(plan, list(marks), Proposals.next)  # type: ignore[method-assign]
                driver.search(plan, study, InlineExecutor(train), make_job, on_trial, Silent())
    return rows


def markdown(rows_by_search: dict[str, list[dict[str, float]]]) -> str:
    """The table: CPU milliseconds a job."""
    lines = [
        f"| search | trials | {' | '.join(PARTS)} | together |",
        "|---|---|" + "---|" * (len(PARTS) + 1),
    ]
    for name, rows in rows_by_search.items():
        for row in rows:
            cells = [f"{row[part]:.1f}" for part in PARTS]
            lines.append(
                f"| {name} | {row['trials']:,} | {' | '.join(cells)} | **{row['all']:.1f}** |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measures, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--trials", type=int, default=AT[-1])
    parser.add_argument("--search", action="append", choices=SEARCHES)
    parser.add_argument(
        "--whole", action="store_true", help="propose every trial, not only those that are measured"
    )
    chosen = parser.parse_args()
    rows_by_search = {
        name: measure(name, chosen.trials, chosen.whole) for name in chosen.search or SEARCHES
    }
    table = markdown(rows_by_search)
    print(table)
    replace(chosen.write, "overhead", table)


if __name__ == "__main__":
    main()
