"""Everything that a trainer is handed: its folder in a run, and the order of a job.

<data set's part of the run>/
    rows/                   rows by split, see `bench.data.handed_rows`
    trainers/<name>/
        trainer.toml        as it was when the run began
        facts.json          full length, and digests of its program
        jobs/<job>/         what a job got and answered; kept where it failed
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.core.arrays import Ints
from bench.core.errors import UserError
from bench.core.plain import read_json
from bench.core.records import TRAINER, Job, Scalar
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.atomic import write_text
from bench.data import Card, Store
from bench.data.handed_rows import (
    LABELS_OF_VALIDATION,
    ROW,
    WEIGHT,
    columns_handed,
    read_handed,
)
from bench.models.trainers.trainer_file import FILE, FORMAT, TrainerFile, digests_of, load_trainer

ROWS, TRAINERS, FACTS, JOBS = "rows", "trainers", "facts.json", "jobs"
SEEDS = 2**31
"""Trainers get seeds below, which every library takes."""


def settings_of(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A trainer's settings by their own names, of a configuration of the search."""
    prefix = f"{TRAINER.removesuffix('kind')}{config[TRAINER]}."
    return {
        name.removeprefix(prefix): value
        for name, value in config.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True)
class Facts:
    """What a run says of a trainer on a data set.

    Attributes:
        full_samples: training samples of full length, by which the search counts.
        train_rows: rows of train.
        columns: that it gets, without those of row, weight and labels.
        group, units, time: which of them these are; empty where there is none.
        weighted: whether rows of train have weights.
        digests: of its program's files, by path.
        beside: the folder that its file was in.
    """

    full_samples: int
    train_rows: int
    columns: list[str]
    group: str
    units: str
    time: str
    weighted: bool
    digests: dict[str, str]
    beside: str


@dataclass(frozen=True)
class HandedTrainer:
    """A trainer in a run's part for a data set."""

    folder: Path
    file: TrainerFile
    facts: Facts

    @classmethod
    def open(cls, folder: Path) -> HandedTrainer:
        """Opens the folder of a trainer.

        Raises:
            UserError: its program is another one than when the run began.
        """
        facts = Facts(**read_json(folder / FACTS))
        file = load_trainer(folder / FILE, Path(facts.beside))
        for path, digest in digests_of(file).items():
            if facts.digests.get(path) != digest:
                raise UserError(
                    f"{file.name}: expected the program with which the run began, found {path} "
                    "changed; a new run takes it as it is now"
                )
        return cls(folder, file, facts)

    @property
    def rows(self) -> Path:
        """The folder of rows by split."""
        return self.folder.parents[1] / ROWS

    def share(self, until: int | None) -> float:
        """The part of a full training that ends after `until` samples of the search."""
        return 1.0 if until is None else min(1.0, until / self.facts.full_samples)

    def rows_of_train(self, until: int | None) -> Ints | None:
        """Indices of the part of train's rows that a training may use; None for all."""
        rungs = self.file.rungs
        if rungs is None or rungs.unit != "rows":
            return None
        rows = self.facts.train_rows
        part = max(1, round(self.file.amount(self.share(until)) * rows))
        if part >= rows:
            return None
        draws = np.random.default_rng(derive(0, "rows of train")).permutation(rows)
        return np.sort(draws[:part])

    def columns_of(self, split: str, schema: Schema) -> list[str]:
        """Columns of a split's rows, as the trainer gets them."""
        columns = [ROW, *self.facts.columns]
        if split == "train":
            columns += [task.name for task in schema.tasks]
            if self.facts.weighted:
                columns.append(WEIGHT)
        return columns

    def frame(self, split: str, schema: Schema, until: int | None = None) -> pd.DataFrame:
        """A split's rows, with the labels that the trainer may see."""
        rows = self.rows_of_train(until) if split == "train" else None
        columns = self.columns_of(split, schema)
        frame: pd.DataFrame = read_handed(self.rows, split, columns, rows).to_pandas()
        if split == "valid" and self.file.labels == "valid":
            tasks = [task.name for task in schema.tasks]
            labels = read_handed(self.rows, LABELS_OF_VALIDATION, tasks).to_pandas()
            frame = pd.concat([frame, labels], axis=1)
        return frame

    def keys(self, split: str) -> pd.DataFrame | None:
        """(N, K) the columns by which the trainer names a split's rows; None for their numbers."""
        if not self.file.by_key:
            return None
        keys: pd.DataFrame = read_handed(self.rows, split, self.file.by_key).to_pandas()
        return keys


@dataclass(frozen=True)
class OriginalTrainer:
    """A trainer's file at `path`, which was in the folder `beside` before a run copied it."""

    path: Path
    beside: Path

    @cached_property
    def file(self) -> TrainerFile:
        """What it says; raises UserError as `load_trainer`."""
        return load_trainer(self.path, self.beside)


def hand_over(
    original: OriginalTrainer, card: Card, store: Store, full_samples: int, to: Path
) -> None:
    """Writes the folder of a trainer, unless it is there.

    Args:
        full_samples: of the search, training samples of full length.
    """
    trainer = original.file
    facts = Facts(
        full_samples=full_samples,
        train_rows=len(store.split("train")),
        columns=columns_handed(card, trainer.keys_only),
        group=card.group or "",
        units=card.units or "",
        time=card.time or "",
        weighted=store.weights is not None,
        digests=digests_of(trainer),
        beside=str(original.beside),
    )
    if (to / FACTS).is_file():
        return
    to.mkdir(parents=True, exist_ok=True)
    write_text(to / FILE, original.path.read_text(encoding="utf-8"))
    write_text(to / FACTS, json.dumps(asdict(facts), indent=1))


def check_trainer(trainer: TrainerFile, card: Card) -> None:
    """Raises UserError where a trainer names columns or tasks that a card has not."""
    columns = columns_handed(card, trainer.keys_only)
    for column in trainer.by_key:
        if column not in columns:
            raise UserError(
                f"{trainer.name}: by_key: expected columns that it gets from {card.key} "
                f"({', '.join(columns)}), found '{column}'; `keys` of the card adds some"
            )
    tasks = {task.name: task for task in card.tasks}
    for name in trainer.conditional:
        if name not in tasks or tasks[name].parent is None:
            raise UserError(
                f"{trainer.name}: conditional: expected tasks of {card.key} with a parent, found "
                f"'{name}'"
            )


def order_of(job: Job, trainer: HandedTrainer, schema: Schema) -> dict[str, Any]:
    """The content of `job.json`, without paths of rows."""
    facts = trainer.facts
    rungs = trainer.file.rungs
    share = 1.0 if rungs is None else trainer.share(job.until)
    return {
        "format": FORMAT,
        "trainer": trainer.file.name,
        "config": settings_of(job.config),
        "seed": job.seed % SEEDS,
        "threads": job.threads,
        "budget": {
            "unit": rungs.unit if rungs else None,
            "amount": trainer.file.amount(share),
            "full": rungs.full if rungs else 1.0,
            "share": share,
        },
        "tasks": [
            {
                "name": task.name,
                "kind": task.kind,
                "parent": task.parent,
                "conditional": task.name in trainer.file.conditional,
            }
            for task in schema.tasks
        ],
        "columns": {
            "row": ROW,
            "inputs_and_keys": facts.columns,
            "group": facts.group or None,
            "units": facts.units or None,
            "time": facts.time or None,
            "weight": WEIGHT if facts.weighted else None,
        },
        "predict": list(job.splits),
    }
