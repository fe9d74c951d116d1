"""A training step, its dense part or an evaluation of two checkouts, in turn.

    git worktree add /tmp/before COMMIT
    python studies/two_checkouts.py /tmp/before [--what step] [--kinds mmoe,ple] [--precision bf16]

The data, sizes and optimizer of `training_speed.py`; of the dense part those of `dense_part.py`.
Each checkout has a process of its own, with its own package and scripts. Milliseconds are of
processor time where there is one thread, and medians; a ratio is that of one round, the other
checkout's over this one's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SCRIPTS = Path(__file__).parent
WHAT = ("step", "dense", "evaluation")


def serve(options: argparse.Namespace) -> None:
    """Reads numbers of runs from stdin, and writes the milliseconds of one."""
    import dense_part
    import torch
    from speed.data import Size, prepared
    from speed.job import Job
    from speed.ours import config

    from bench.core.objectives import parse
    from bench.core.system.home import resolve_home
    from bench.core.system.machine import keep_freed_memory
    from bench.data import Store
    from bench.models.training.config import TrialConfig
    from bench.models.training.loop import Trainer

    keep_freed_memory()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    kind, batch = options.kinds, options.batch
    run: Callable[[int], object]
    if options.what == "dense":
        step = dense_part.stepper(dense_part.build(kind, options.precision), batch)
        run = lambda times: [step() for _ in range(times)]  # noqa: E731
    else:
        path = str(prepared(Size(), resolve_home(options.home)).path)
        store = Store.open(path).with_tasks(("click", "conversion" if kind == "esmm" else "buy"))
        job = Job("seesaw", kind, path, 0, options.threads, batch=batch)
        values = TrialConfig.parse(
            config(job) | {"optim.epochs": 100.0, "optim.precision": options.precision}
        )
        objectives = [parse("click.auc", store.schema.tasks, "objectives")]
        trainer = Trainer(store, values, objectives, 0, options.threads, select=False)
        evaluation = trainer.evaluation
        run = lambda times: trainer.run_to(trainer.course.samples + batch * times)  # noqa: E731
        if options.what == "evaluation":
            valid = lambda: evaluation.measure("valid", evaluation.logits("valid"))  # noqa: E731
            run = lambda times: [valid() for _ in range(times)]  # noqa: E731
    for line in sys.stdin:
        started = clock()
        run(int(line))
        print((clock() - started) * 1e3 / int(line), flush=True)


def ask(process: subprocess.Popen[str], times: int) -> float:
    """Milliseconds a run."""
    assert process.stdin
    assert process.stdout
    print(times, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def compare(kind: str, options: argparse.Namespace) -> str:
    """A row of the table."""
    command = [sys.executable, *sys.argv, "--kinds", kind, "--serve"]
    processes = []
    for root in (options.other, SCRIPTS.parent):
        places = ("", "studies", "tests/benchmarks")  # the last has the scripts of old checkouts
        paths = os.pathsep.join(str(root / place) for place in places)
        environment = os.environ | {
            "PYTHONPATH": paths,
            "PYTHONSAFEPATH": "1",
            "OMP_NUM_THREADS": str(options.threads),
        }
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        processes.append(subprocess.Popen(command, env=environment, text=True, **pipes))
    try:
        # compiles, fills caches
        slowest = max(ask(process, 3) for process in processes for _ in range(2))
        times = max(1, min(40, round(300 / slowest)))
        rounds = [[ask(process, times) for process in processes] for _ in range(options.rounds)]
    finally:
        for process in processes:
            process.communicate()
    before, now = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = sorted(other_time / own_time for other_time, own_time in rounds)
    middle = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return f"| {kind} | {options.precision} | {before:.2f} | {now:.2f} | {middle} |"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--what", choices=WHAT, default=WHAT[0])
    parser.add_argument("--kinds", default="shared_bottom,esmm,mmoe,ple")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
        return
    print("| kind | precision | before, ms | now, ms | ratio |\n|---|---|---|---|---|")
    for kind in options.kinds.split(","):
        print(compare(kind, options), flush=True)


if __name__ == "__main__":
    main()
