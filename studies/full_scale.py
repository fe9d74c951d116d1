"""Ali-CCP at its published size on this machine: generating, preparing, running; a long run is
extrapolated.

    python studies/full_scale.py [--suite ali-ccp] [--rows 42300000] [--part 0.25] [--lengths 20]
        [--trials 60] [--scratch DIR] [--write docs/studies/full-scale.md] [--table full-scale]

A run (search, confirmation, served front) that would take longer is stopped when `--part` of the
time that it needs has passed, by its own estimate of the time left; with 1 it goes to its end.
Memory is that of all its processes together, without the pages of files that the system can take
back. The rows are train and test together, about half each. Files in the scratch folder are reused,
so an interrupted measurement goes on, within the run, too; remove them afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from speed.machine import processor
from speed.table import replace, writer

from bench.core.system.machine import cores
from bench.core.system.progress import duration

LOOK = 5.0
"""Seconds between looks at memory."""
OFTEN = 12
"""Looks for each question for the time left."""
NAME = "full-scale"


def command(*arguments: str) -> list[str]:
    """A command of the product."""
    return [sys.executable, "-m", "bench", *arguments]


def memory_mb(process: psutil.Process) -> float:
    """Of a process and all that it began, in MB: what the system cannot take back, so without
    mapped files.
    """
    kilobytes = 0
    for member in [process, *process.children(recursive=True)]:
        with suppress(OSError, psutil.Error):
            lines = Path(f"/proc/{member.pid}/status").read_text().splitlines()
            kilobytes += sum(
                int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))
            )
    return kilobytes * 1024 / 1e6


def watched(arguments: Sequence[str], measured: dict[str, float]) -> Generator[int, None, None]:
    """Runs a command to its end, or until a KeyboardInterrupt is thrown in; gives how often it
    looked.

    Args:
        measured: `seconds` that it has run and `memory` at the peak, in MB, are added to these.
    """
    looked, last = 0, time.monotonic()
    with subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL) as process:
        tree = psutil.Process(process.pid)
        try:
            while process.poll() is None:
                time.sleep(LOOK)
                with suppress(psutil.Error):
                    measured["memory"] = max(measured["memory"], memory_mb(tree))
                now = time.monotonic()
                measured["seconds"], last, looked = (
                    measured["seconds"] + now - last,
                    now,
                    looked + 1,
                )
                yield looked
        except KeyboardInterrupt:
            # a background process may ignore SIGINT, and what it begins then does so, too
            process.terminate()
            process.wait()
            raise
    if process.returncode not in (0, 130):
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")


def searched(
    options: argparse.Namespace,
    raw: Path,
    home: Path,
    measured: dict[str, float],
    keep: Callable[[], None],
) -> None:
    """Begins the search or goes on with it, until its part is done."""
    limits = ["--lengths", str(options.lengths), "--trials", str(options.trials)]
    arguments = ["run", options.suite, "--raw", str(raw), "--name", NAME, *limits]
    watching = watched([*arguments, "--home", str(home), "--json"], measured)
    for looked in watching:
        if looked % OFTEN:
            continue
        measured["left"] = remaining = status_of(home).get("search", {}).get("left") or 0.0
        keep()
        spent = duration(measured["seconds"])
        print(
            f"{spent} spent, {duration(remaining)} left, {measured['memory']:,.0f} MB",
            file=sys.stderr,
            flush=True,
        )
        if remaining and done(measured, options.part):
            with suppress(KeyboardInterrupt):
                watching.throw(KeyboardInterrupt())
            return
    measured["left"] = 0.0


def done(measured: Mapping[str, float], part: float) -> bool:
    """Whether a part of the time that is needed has passed."""
    return "left" in measured and measured["seconds"] >= part * (
        measured["seconds"] + measured["left"]
    )


def status_of(home: Path) -> dict[str, Any]:
    """What `seesaw status` says of the run."""
    result = subprocess.run(
        command("status", NAME, "--home", str(home), "--json"), stdout=subprocess.PIPE
    )
    document = json.loads(result.stdout) if result.returncode == 0 else {}
    return dict(next(iter(document.get("datasets", {}).values()), {}))


def main() -> None:
    """Measures and prints."""
    parser = writer(__doc__)
    parser.add_argument("--suite", default="ali-ccp", help="name or file")
    parser.add_argument("--rows", type=int, default=42_300_000)
    parser.add_argument("--part", type=float, default=0.25)
    parser.add_argument("--lengths", type=float, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--scratch", type=Path, default=Path("full-scale"))
    parser.add_argument("--table", default=NAME, help="which table of the document")
    options = parser.parse_args()
    raw, home, log = (
        options.scratch / "raw",
        options.scratch / "home",
        options.scratch / "measured.json",
    )
    options.scratch.mkdir(parents=True, exist_ok=True)
    steps = {
        "generating": ["data", "synth", "ali-ccp", "--rows", str(options.rows), "--out", str(raw)],
        "preparing": ["data", "prepare", "ali-ccp", "--raw", str(raw), "--home", str(home)],
    }
    measured: dict[str, dict[str, float]] = json.loads(log.read_text()) if log.exists() else {}

    def keep() -> None:
        log.write_text(json.dumps(measured))

    for step, arguments in steps.items():
        if step not in measured:
            shutil.rmtree(raw if step == "generating" else home, ignore_errors=True)
            spent = {"seconds": 0.0, "memory": 0.0, "left": 0.0}
            for _ in watched(arguments, spent):
                pass
            measured[step] = spent
            keep()
    search = measured.setdefault("running", {"seconds": 0.0, "memory": 0.0})
    if not done(search, options.part):
        searched(options, raw, home, search, keep)
        keep()
    text = table(measured, status_of(home), raw, home, options)
    print(text)
    replace(options.write, options.table, text)


def table(
    measured: dict[str, dict[str, float]],
    status: dict[str, Any],
    raw: Path,
    home: Path,
    options: argparse.Namespace,
) -> str:
    """The table of all steps, and what the search trained."""
    search, replicates = status["search"], status["replicates"]
    size = {
        name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e9
        for name, path in (("raw", raw), ("store", home / "store"))
    }
    lines = [
        f"{options.rows:,} rows, {size['raw']:.1f} GB of text, {size['store']:.1f} GB of store; "
        f"{cores()} cores, {processor()}.",
        "",
        "| step | measured | memory, MB | to the end |",
        "|---|---|---|---|",
    ]
    for step, spent in measured.items():
        whole = spent["seconds"] + spent["left"]
        lines.append(
            f"| {step} | {duration(spent['seconds'])} | {spent['memory']:,.0f} | {duration(whole)} "
            "|"
        )
    samples, rungs = search["samples"], search["rungs"]
    counts = np.sum([*search["kinds"].values()] or [[0] * len(rungs)], axis=0)
    reached = ", ".join(
        f"{number:,} to {rung['samples']:,} samples"
        for number, rung in zip(counts, rungs, strict=True)
    )
    speeds = ", ".join(
        f"{kind} {median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
        for kind, values in sorted(jobs(home).items())
    )
    lines += [
        "",
        f"The search had trained {samples['used']:,} of {samples['budget']:,} samples, the confirmation "
        f"{replicates} replicates. {' '.join(parts(home))} A job of the search trains a trial up "
        f"to a rung: {reached}. Samples/s of a job: {speeds}.",
    ]
    return "\n".join(lines)


def parts(home: Path) -> list[str]:
    """How long each part of a run took that was not stopped in between; without those that have not
    ended.
    """
    sentences = []
    for log in (home / "runs" / NAME).glob("*/study.jsonl"):
        times: dict[str, float] = {}
        for event in map(json.loads, log.open()):
            times[event["event"]] = event["at"]  # the last of each
            times.setdefault("first", event["at"])
        pick = log.with_name("picked.json")
        ends = [
            times["first"],
            times.get("concluded"),
            times.get("replicate"),
            pick.stat().st_mtime if pick.exists() else None,
        ]
        for name, start, end in zip(
            ("search", "confirmation", "served front"), ends, ends[1:], strict=False
        ):
            if start and end:
                sentences.append(f"The {name} took {duration(end - start)}.")
    return sentences


def jobs(home: Path) -> dict[str, list[float]]:
    """Of each way of sharing the samples a second that its finished jobs in the search trained."""
    speeds: dict[str, list[float]] = {}
    for log in (home / "runs" / NAME).glob("*/study.jsonl"):
        for event in map(json.loads, log.open()):
            if event["event"] == "outcome" and event["failure"] is None:
                speeds.setdefault(event["config"]["sharing.kind"], []).append(
                    event["speed"]["train_samples_per_s"]
                )
    return speeds


if __name__ == "__main__":
    main()
