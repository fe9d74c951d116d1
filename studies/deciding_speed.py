"""How long `seesaw decide` takes, as a whole process, on generated logs of two tasks and two
models.

    python studies/deciding_speed.py [--rows 1000000 10000000] [--csv] [--write docs/decide.md]

Seconds are of the whole command, import included, each the least of three; memory is the most that
the process held.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from scipy.special import expit
from speed.table import replace, writer

OPTIONS = [
    "--label",
    "click",
    "--label",
    "buy",
    "--parent",
    "buy=click",
    "--model",
    "today=p_click,p_buy",
    "--model",
    "candidate=q_click,q_buy",
    "--units",
    "user_id",
    "--weights",
    "3 p_click + 40 p_buy",
    "--unseen",
    "--joint",
    "buy",
]
TIMES = 3
PIECE = 1_000_000


def write_log(file: Path, rows: int) -> None:
    """A log of clicks and purchases, piece by piece."""
    rng = np.random.default_rng(0)
    writer_of = pq.ParquetWriter if file.suffix == ".parquet" else csv.CSVWriter
    opened = None
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        x = rng.normal(size=(n, 4))
        click, buy = -2 + x @ [0.9, 0.4, -0.3, 0.2], -2.2 + x @ [-0.4, 0.8, 0.5, 0.1]
        clicked = rng.random(n) < expit(click)
        predictions = [
            expit(logit + error * rng.normal(size=n))
            for error in (0.9, 0.4)
            for logit in (click, buy)
        ]
        table = pa.table(
            {
                "user_id": rng.integers(0, rows // 20, n),
                "click": clicked.astype(np.int8),
                "buy": (clicked & (rng.random(n) < expit(buy))).astype(np.int8),
                "p_click": predictions[0],
                "p_buy": predictions[0] * predictions[1],
                "q_click": predictions[2],
                "q_buy": predictions[2] * predictions[3],
            }
        )
        opened = opened or writer_of(file, table.schema)
        opened.write_table(table)
    if opened is not None:
        opened.close()


def timed(file: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and megabytes of one command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "bench", "decide", str(file), *OPTIONS, "--json"]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, spent, after.ru_maxrss / 1024


def main() -> None:
    """Prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--csv", action="store_true", help="CSV, too")
    options = parser.parse_args()
    lines = ["| rows, file | seconds | processor seconds | memory, MB |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            for suffix in (".parquet", ".csv") if options.csv else (".parquet",):
                file = Path(folder) / f"log{suffix}"
                write_log(file, rows)
                wall, spent, memory = (
                    min(values) for values in zip(*(timed(file) for _ in range(TIMES)), strict=True)
                )
                lines.append(
                    f"| {rows:,}, {suffix[1:]} | {wall:.1f} | {spent:.1f} | {memory:,.0f} |"
                )
    print(table := "\n".join(lines))
    replace(options.write, "seconds", table)


if __name__ == "__main__":
    main()
