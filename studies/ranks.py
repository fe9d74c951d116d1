"""Samples a second of one training on one process and on several, and how much they exchange.

    python studies/ranks.py [--data CARD] [--home DIR] [--ranks 2] [--batch 8192] [--write docs/cluster.md]

Each way trains the same configuration for one epoch, by `seesaw train`; the first run prepares the data.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from speed.table import replace, writer

MODELS = ("shared_bottom", "esmm", "mmoe", "ple")


def rate(data: str, home: Path, model: str, batch: int, threads: int, ranks: int) -> float:
    """Samples a second in training."""
    options = [f"architecture={model}", "optim.epochs=1", "optim.precision=fp32", f"optim.batch_size={batch}"]
    command = [sys.executable, "-m", "bench", "train", data, "--home", str(home), "--json"]
    command += ["--threads", str(threads), "--ranks", str(ranks)]
    command += [part for option in options for part in ("--set", option)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(found.stdout)["speed"]["train_samples_per_s"])


def main() -> None:
    """Measures, prints and writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--data", default="synthetic-funnel@rows=400000")
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8192)
    asked = parser.parse_args()
    ways = [(1, 1), (asked.ranks, 1), (asked.ranks, asked.ranks)]
    lines = [
        f"| model | one process, 1 thread | one process, {asked.ranks} threads | {asked.ranks} ranks, 1 thread each |",
        "|---|---|---|---|",
    ]
    for model in MODELS:
        rates = [rate(asked.data, asked.home, model, asked.batch, *way) for way in ways]
        cells = [f"{each:,.0f} ({each / rates[0]:.2f})" for each in rates]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    replace(asked.write, "ranks", "\n".join(lines))


if __name__ == "__main__":
    main()
