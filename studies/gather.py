"""Processor time of gathering batches from a store, whose ids are packed, and from the same ids in
32 bits.

    python studies/gather.py STORE [--most 15650] [--rounds 15] [--steps 0]

Both take turns in one process with one thread, on random rows of train, which should be larger than
the cache. With `--steps`, whole training steps of a shared bottom are compared, too. Ratios are
medians, with their middle half.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from bench.core.system.machine import keep_freed_memory
from bench.data import Store, StoredSplit, packing
from bench.data.batches import Batch, Batches
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer


def stored_as(
    split: StoredSplit, ids: np.ndarray, how: packing.Packing | None, folder: str
) -> StoredSplit:
    """The split with other stored ids, mapped from a file as they are in a store."""
    path = Path(folder) / f"{ids.dtype}.npy"
    np.save(path, ids)
    return replace(split, stored_ids=np.load(path, mmap_mode="r"), packing=how)


def gathered(data: Batches, size: int, ids_alone: bool) -> Iterator[Batch]:
    """41 batches of random rows."""
    whole, rows = data._whole, np.random.default_rng().permutation(len(data))[: 41 * size]
    if ids_alone:
        whole = Batch(whole.ids, torch.empty(len(data), 0), torch.empty(len(data), 0))
    return (whole.taken(part, data._split.packing) for part in torch.from_numpy(rows).split(size))


def compare(
    label: str, turn: Callable[[Batches], Iterator[object]], ways: list[Batches], rounds: int
) -> None:
    """Prints microseconds for each item of a turn, of both ways."""
    took = np.empty((rounds, 2))
    for number in range(rounds):
        for way in (0, 1) if number % 2 else (1, 0):
            items = turn(ways[way])
            next(items)  # what is done once a pass
            started = time.process_time()
            took[number, way] = sum(1 for _ in items)
            took[number, way] = (time.process_time() - started) / took[number, way] * 1e6
    low, middle, high = np.percentile(took[:, 0] / took[:, 1], (25, 50, 75))
    packed, plain = np.median(took, axis=0)
    print(
        f"{label}: {packed:.0f} us packed, {plain:.0f} us in 32 bits, {middle:.2f} ({low:.2f} to "
        f"{high:.2f})"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument(
        "--most",
        type=int,
        default=packing.MOST_NARROW,
        help="rows of a field whose ids take 16 bits",
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=0, help="rounds of 10 training steps")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    store = Store.open(arguments.store)
    store = store.with_tasks(store.default_tasks)
    split = store.split("train")
    ids = split.ids
    packing.MOST_NARROW = arguments.most
    how = packing.Packing.of(store.schema)
    with tempfile.TemporaryDirectory() as folder:
        ways = [
            Batches(stored_as(split, how.packed(ids), how, folder)),
            Batches(stored_as(split, ids, None, folder)),
        ]
        print(f"{len(split):,} rows, {len(how.wide)} of {ids.shape[1]} ids in 32 bits")
        for size in (2048, 512):
            for name in ("ids", "batch"):
                turn = partial(gathered, size=size, ids_alone=name == "ids")
                compare(f"{name}, {size} rows", turn, ways, arguments.rounds)
        if arguments.steps:
            trainer = Trainer(store, TrialConfig.parse({"optim.batch_size": 2048}), (), seed=0)

            def steps(data: Batches) -> Iterator[object]:
                return (trainer.step(*batch) for batch in islice(data.shuffled(2048, seed=0), 11))

            compare("step, 2048 rows", steps, ways, arguments.steps)


if __name__ == "__main__":
    main()
