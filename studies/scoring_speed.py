"""How fast files are scored: rows a second of `seesaw score` on generated impressions, and the
memory it takes.

Rows a second of processor time tell more where the machine is shared: two cores idle do up to twice
as many a second.

python studies/scoring_speed.py [--rows 4000000] [--format parquet|csv] [--engine eager|onnx]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serve"))

from serving_toys import parts_of, trained

from bench.core.system.machine import peak_memory_mb, reset_peak_memory
from bench.data import parse_card, prepare
from bench.serve.batch_scoring import BatchScoring
from bench.serve.package import write_package

TRAIN = 200_000
CARD: dict[str, Any] = {
    "id": "log",
    "title": "Generated impressions",
    "licence": "none",
    "citation": "none",
    "homepage": "https://example.org",
    "reader": {"kind": "parquet"},
    "files": [{"name": "log.parquet"}],
    "split": {"kind": "random", "valid": 0.1, "test": 0.1},
    "tasks": [
        {"name": "click", "column": "click"},
        {"name": "buy", "column": "buy", "parent": "click"},
    ],
    "columns": {
        **dict.fromkeys(
            ("user", "item", "shop", "category", "city", "device", "hour"), "categorical"
        ),
        "tags": {"kind": "multi-valued", "max_length": 4},
        **dict.fromkeys(("price", "age", "ctr"), "numeric"),
    },
}


def rows(number: int, seed: int) -> pa.Table:
    """Impressions: texts as ids, some of them rare, a list, and numbers."""
    rng = np.random.default_rng(seed)
    zipf = {"user": 100_000, "item": 20_000, "shop": 2_000}
    small = {"category": 200, "city": 300, "device": 5, "hour": 24}
    columns: dict[str, Any] = {}
    for name, size in zipf.items():
        codes = (size * rng.random(number) ** 3).astype(np.int32)
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(codes), pa.array([f"{name}_{i}" for i in range(size)])
        )
    for name, size in small.items():
        codes = rng.integers(0, size, number, np.int32)
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(codes), pa.array([f"{name}{i}" for i in range(size)])
        )
    lists = [
        ",".join(f"t{t}" for t in rng.integers(0, 50, rng.integers(0, 5))) for _ in range(5000)
    ]
    columns["tags"] = pa.DictionaryArray.from_arrays(
        pa.array(rng.integers(0, 5000, number, np.int32)), pa.array(lists)
    )
    for name in ("price", "age", "ctr"):
        columns[name] = pa.array(rng.normal(size=number).round(3))
    click = rng.random(number) < 0.2
    columns |= {
        "click": pa.array(click.astype(int)),
        "buy": pa.array((click & (rng.random(number) < 0.2)).astype(int)),
    }
    table = pa.table(columns)
    return table.cast(
        pa.schema(
            [
                (f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
                for f in table.schema
            ]
        )
    )


def main() -> None:
    """Trains a model, writes rows, scores them and prints how long it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=4_000_000)
    options.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    options.add_argument("--engine", default="eager")
    options.add_argument("--threads", type=int, default=1)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(rows(TRAIN, 0), folder / "log.parquet")
        store = prepare(parse_card(CARD, "here"), folder / "home", folder)
        trainer = trained(
            store, **{"sharing.kind": "shared_bottom", "embedding.dim": 16, "tower.layers": "64-32"}
        )
        package = write_package(
            parts_of(store, trainer), folder / "package", onnx=arguments.engine == "onnx"
        )
        file = folder / f"new.{arguments.format}"
        with (pq.ParquetWriter if arguments.format == "parquet" else pacsv.CSVWriter)(
            file, rows(1, 1).schema
        ) as writer:
            for start in range(0, arguments.rows, 500_000):
                writer.write_table(rows(min(500_000, arguments.rows - start), 2 + start))
        warm = folder / "warm.parquet"
        pq.write_table(rows(70_000, 1), warm)
        BatchScoring(
            package, [warm], folder / "warm", engine=arguments.engine, threads=arguments.threads
        ).run()
        reset_peak_memory()
        work = BatchScoring(
            package, [file], folder / "out", engine=arguments.engine, threads=arguments.threads
        )
        started, cpu = time.perf_counter(), time.process_time()
        scored = work.run()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        print(
            f"{arguments.format} {arguments.engine}, shared-bottom of {store.schema.slots} slots: "
            f"{scored.rows:,} rows in {seconds:.1f} s, {scored.rows / seconds:,.0f} rows/s, "
            f"{scored.rows / cpu:,.0f} rows a second of processor time, "
            f"{file.stat().st_size / 1e6:,.0f} MB read, peak memory {peak_memory_mb():,.0f} MB"
        )


if __name__ == "__main__":
    main()
