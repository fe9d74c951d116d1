"""What logging to MLflow costs a search: processor time a trial, while a run grows.

    python studies/tracking_overhead.py [--trials 100 1000 5000] [--write
    docs/studies/performance.md]

Nothing is trained: records like those of real trials are handed over as a driver does it, into a
sqlite file and to a `mlflow server` on this machine. Counted are the hundred trials before each
number: in the driver's thread, and in all of the process. The server is a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from speed.table import replace, writer

from bench.app.tracking.logbook import Logbook, Section
from bench.core.objectives import Objective
from bench.core.records import TrialRecord
from bench.ledger.course import History

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "app" / "tracking"))
from servers import RealServer

OBJECTIVES = (Objective("click.auc", "maximize"), Objective("buy.ctcvr.auc", "maximize"))
REFERENCE = {"click.auc": 0.5, "buy.ctcvr.auc": 0.5}
WINDOW = 100  # trials that are counted together
TRIAL = 10.0  # seconds of the trial that the share is of
HEADER = """\
| store | trial | driver's thread, ms a trial | whole process, ms a trial | of a 10 s trial |
|---|---|---|---|---|"""


def records(count: int) -> Iterator[TrialRecord]:
    """Records with the numbers of params, metrics and evaluations that a trial with two tasks
    has.
    """
    rng = np.random.default_rng(0)
    metrics = [
        f"valid/{task}.{name}"
        for task in ("click", "buy.cvr")
        for name in ("gauc", "log_loss", "ne", "pcoc", "ece")
    ]
    for number in range(count):
        click, buy = 0.7 + rng.normal(0, 0.02), 0.7 + rng.normal(0, 0.02)
        values = {
            name: float(value)
            for name, value in zip(metrics, rng.random(len(metrics)), strict=True)
        }
        values |= {"valid/click.auc": click, "valid/buy.ctcvr.auc": buy}
        values |= {
            f"cost/{name}": float(rng.random())
            for name in ("parameters", "seconds", "memory", "latency")
        }
        curve = [
            {
                "samples": step * 1000,
                "epoch": step,
                "click.auc": click - 1 / step,
                "buy.ctcvr.auc": buy - 1 / step,
            }
            | {f"loss/{task}": 1 / step + rng.random() for task in ("click", "buy")}
            for step in range(1, 9)
        ]
        config = {
            f"part{option // 5}.option{option}": float(rng.random()) for option in range(25)
        } | {"sharing.kind": "mmoe"}
        yield TrialRecord(
            number=number,
            state="completed",
            params=config,
            config=config,
            architecture="mmoe",
            metrics=values,
            speed={"train_samples_per_s": 5e4, "eval_samples_per_s": 2e5},
            curve=curve,
            started=1.9e9 + TRIAL * number,
            seconds=TRIAL,
        )


def measure(uri: str | None, home: Path, numbers: list[int]) -> Iterator[tuple[int, float, float]]:
    """For each number of trials: it, ms of the driver's thread and ms of the process, a trial."""
    logbook = Logbook(uri, home)
    identity = {
        "run": "r",
        "suite": "s",
        "dataset": "d",
        "space": "p",
        "fingerprint": "f",
        "seed": "0",
    }
    section = logbook.section(
        History(OBJECTIVES, REFERENCE, False), experiment="seesaw/s", identity=identity, dataset="d"
    )
    _drain(section)
    handing = 0.0
    process, thread = time.process_time(), time.thread_time()
    for record in records(max(numbers)):
        began = time.thread_time()
        section.log([record], record.number + 1)
        handing += time.thread_time() - began
        logged = record.number + 1
        if logged % WINDOW:
            continue
        _drain(section)
        # all threads but the driver's
        other_threads = (time.process_time() - process) - (time.thread_time() - thread)
        if logged in numbers:
            yield logged, 1e3 * handing / WINDOW, 1e3 * (other_threads + handing) / WINDOW
        handing = 0.0
        process, thread = time.process_time(), time.thread_time()
    if not logbook.finish("FINISHED", time.time(), 120.0) or section.there != max(numbers):
        raise SystemExit(f"not all was sent: {logbook.trouble}")


def _drain(section: Section) -> None:
    """Waits until all that was handed over is sent, as it is when trials take longer than sending
    them.
    """
    while section.place is None or section.there < len(section.records):
        time.sleep(0.01)


def main() -> None:
    """Measures and prints."""
    parser = writer(__doc__)
    parser.add_argument(
        "--trials", type=int, nargs="+", default=[100, 1000, 5000], help="multiples of 100"
    )
    parser.add_argument(
        "--stores", nargs="+", choices=("sqlite", "server"), default=["sqlite", "server"]
    )
    options = parser.parse_args()
    lines = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        for store in options.stores:
            server = RealServer(Path(folder))
            if store == "server":
                server.start()
            try:
                for trials, driver, process in measure(
                    server.uri if store == "server" else None, Path(folder), options.trials
                ):
                    share = process / 1e3 / TRIAL
                    lines.append(
                        f"| {store} | {trials:,} | {driver:.2f} | {process:.0f} | {share:.1%} |"
                    )
                    print(lines[-1], file=sys.stderr, flush=True)
            finally:
                server.stop()
    replace(options.write, "tracking", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
