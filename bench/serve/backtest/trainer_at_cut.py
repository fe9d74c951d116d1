"""A trainer from elsewhere at a cut of a back-test: it gets the rows before the cut, and predicts
those after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.core.arrays import Singles
from bench.core.records import Job, SplitName
from bench.core.system.progress import Progress
from bench.data import Card, Store
from bench.data.handed_rows import write_handed_rows
from bench.models.trainers.handing import ROWS, TRAINERS, HandedTrainer
from bench.models.trainers.job import predict
from bench.serve.retrain import PartOrder

SPLITS: tuple[SplitName, ...] = ("valid", "test")


def predictions_at_cut(
    order: PartOrder,
    card: Card,
    store: Store,
    seed: int,
    threads: int,
    work: Path,
    home: Path,
    raw: Path | None,
    progress: Progress,
) -> Mapping[SplitName, Singles]:
    """Joint predictions (N, T) of what is held out and of the rows of the cut.

    Args:
        card: of the cut, and `store` of it.
        work: a folder for the rows; its owner removes it.

    Raises:
        UserError: the trainer's program changed since the run began.
        TrainerError: it failed.
    """
    assert order.trainer is not None
    of_run = HandedTrainer.open(order.trainer)
    work = work.resolve()
    write_handed_rows(card, store, home, raw, work / ROWS, progress)
    facts = replace(of_run.facts, train_rows=len(store.split("train")))
    trainer = HandedTrainer(work / TRAINERS / of_run.file.name, of_run.file, facts)
    job = Job(
        trial=None,
        replicate=0,
        config=dict(order.config),
        store=str(store.path),
        seed=seed,
        splits=SPLITS,
        objectives=(),
        tasks=tuple(task.name for task in store.schema.tasks),
        threads=threads,
        until=order.until,
    )
    return predict(job, trainer, store)
