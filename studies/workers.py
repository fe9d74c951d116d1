"""Many trials on one machine: workers of one thread each against one trial that has all threads.

    python studies/workers.py [--write docs/studies/performance.md]

In turn, a round each: one process with n threads, then n processes with one thread, all on the same
store. Samples a second in all are counted. Workers share the pages of the store; each has a
table and optimizer of its own.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace as changed
from pathlib import Path
from statistics import median

from speed.child import start
from speed.data import Size, prepared
from speed.job import ARCHITECTURES, Job
from speed.machine import processor
from speed.summary import spread
from speed.table import NAMES, replace

from bench.core.system.home import resolve_home
from bench.core.system.machine import cores

HEADER = (
    "| | one trial, {n} threads, samples/s | {n} trials, one thread each, samples/s in all | "
    "× |\n|---|---|---|---|"
)


def main() -> None:
    """Measures and prints."""
    size, parser = Size(), argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=size.rows)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES)
    )
    parser.add_argument("--home", type=Path)
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    store = prepared(Size(rows=options.rows), resolve_home(options.home))
    lines = [
        f"{options.rows:,} rows, {options.repeats} rounds; {processor()}.",
        "",
        HEADER.format(n=options.workers),
    ]
    for architecture in options.architectures:
        job = Job("seesaw", architecture, str(store.path), 0, options.workers)
        single, several = [], []
        for _ in range(options.repeats):
            single.append(together([job]))
            several.append(
                together([changed(job, seed=seed, threads=1) for seed in range(options.workers)])
            )
        ratios = spread(b / a for a, b in zip(single, several, strict=True))
        ratio = f"{ratios['median']:.2f} ({ratios['least']:.2f} to {ratios['most']:.2f})"
        lines.append(
            f"| {NAMES[architecture]} | {median(single):,.0f} | {median(several):,.0f} | {ratio} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    replace(options.write, "workers", "\n".join(lines))
    print("\n".join(lines))


def together(jobs: list[Job]) -> float:
    """Samples a second of jobs that run at the same time, in all."""
    children = [start(job, None) for job in jobs]
    return sum(child.wait().train_samples_per_s for child in children)


if __name__ == "__main__":
    main()
