"""Speed, AUC and memory of four architectures, in Seesaw and in public libraries, on the same
generated data.

    python studies/training_speed.py [--json] [--out RESULT.json] [--write
    docs/studies/performance.md] python studies/training_speed.py --epochs 0.1 --repeats 1     # a
    quick look

Each measurement is a training of one epoch, or a part of it, in a process of its own. In a round
every system runs once on every architecture, one after another with the same seed; the next round
has another seed. Data, and the libraries in a folder of their own, are kept under the home folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from speed.child import start
from speed.data import Size, prepared
from speed.job import ARCHITECTURES, Job, Measured
from speed.machine import processor
from speed.peers import installed, requirements
from speed.summary import OURS, Runs, summary
from speed.table import markdown, replace
from speed.worker import SYSTEMS

from bench.core.system.atomic import write_text
from bench.core.system.home import resolve_home
from bench.core.system.machine import cores


def main() -> None:
    """Measures and prints."""
    options = parse()
    home = resolve_home(options.home)
    store = prepared(Size(options.rows, options.eval_rows, options.fields, options.largest), home)
    peers = None if options.systems == [OURS] else installed(home)
    before, runs = os.getloadavg()[0], []
    for seed in range(options.repeats):
        for architecture in options.architectures:
            for system in options.systems:
                job = Job(
                    system,
                    architecture,
                    str(store.path),
                    seed,
                    options.threads,
                    options.batch,
                    options.epochs,
                    precision=options.precision,
                )
                measured = start(job, peers).wait()
                runs.append((job, measured))
                say(job, measured)
    result = document(options, store.manifest, store.schema.rows, runs, before)
    if options.out:
        write_text(options.out, json.dumps(result, indent=1) + "\n")
    replace(options.write, options.mark, markdown(result))
    print(json.dumps(result, indent=1) if options.json else markdown(result))


def parse() -> argparse.Namespace:
    """Options."""
    size, parser = Size(), argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=size.rows, help="of train: one epoch")
    parser.add_argument("--eval-rows", type=int, default=size.eval_rows)
    parser.add_argument("--fields", type=int, default=size.fields)
    parser.add_argument(
        "--largest", type=int, default=size.largest, help="values of the largest field"
    )
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--epochs", type=float, default=1.0, help="a fraction makes a quick look")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--repeats", type=int, default=3, help="rounds, a seed each")
    parser.add_argument(
        "--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES)
    )
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--precision", default="auto", help="of our own products")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=Path, help="write it to a file as well")
    parser.add_argument("--write", type=Path, help="put the table into this document")
    parser.add_argument("--mark", default="training", help="the table's place in the document")
    return parser.parse_args()


def say(job: Job, measured: Measured) -> None:
    """One line on stderr."""
    aucs = ", ".join(f"{task} {value:.4f}" for task, value in measured.auc.items())
    print(
        f"{job.architecture:14}{job.system:27}seed {job.seed}: training "
        f"{measured.train_samples_per_s:9,.0f}/s, evaluation "
        f"{measured.eval_samples_per_s:9,.0f}/s, AUC {aucs}, {measured.peak_memory_mb:6,.0f} MB, "
        f"first steps after {measured.first_seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )


def document(
    options: argparse.Namespace, manifest: dict[str, Any], ids: int, runs: Runs, load_before: float
) -> dict[str, Any]:
    """All that is known of the measurement."""
    versions = {name: metadata.version(name) for name in ("torch", "numba", "numpy")}
    return summary(runs) | {
        "data": {
            "rows": options.rows,
            "eval_rows": options.eval_rows,
            "fields": options.fields,
            "ids": ids,
            "prepare_seconds": manifest["seconds"],
        },
        "batch": options.batch,
        "epochs": options.epochs,
        "threads": options.threads,
        "precision": options.precision,
        "repeats": options.repeats,
        "versions": versions | dict(requirement.split("==") for requirement in requirements()),
        "machine": {
            "processor": processor(),
            "cores": cores(),
            "load_before": load_before,
            "load_after": os.getloadavg()[0],
        },
        "runs": [vars(job) | vars(measured) for job, measured in runs],
    }


if __name__ == "__main__":
    main()
