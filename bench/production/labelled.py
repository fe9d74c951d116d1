"""Rows with their labels, as a card reads them, and what a model says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.preparation import rows_of
from bench.data.splits import SPLITS
from bench.errors import UserError, unknown
from bench.production.history import kept_of_card
from bench.production.scorer import Scorer, Values
from bench.progress import Progress
from bench.schema import Schema
from bench.training.metrics import product


@dataclass(frozen=True)
class Judged:
    """N rows.

    Attributes:
        labels: (N, T) of the model's tasks, NaN where unobserved.
        said: for each model name -> predictions (N,).
        group: (N,) of a row; negative where it has none.
    """

    labels: NDArray[np.float32]
    said: tuple[Mapping[str, Values], ...]
    group: NDArray[np.int64]


def judge(
    card: Card, home: Path, raw: Path | None, split: str | None, scorers: Sequence[Scorer], progress: Progress
) -> Judged:
    """What models say of a card's rows: of a split, or of all where it is None.

    Raises:
        UserError: an unknown split, a file that is not there or does not fit, a task that the card lacks, no rows.
    """
    if split is not None and split not in SPLITS:
        raise unknown("split", split, SPLITS)
    names = [rule.name for rule in card.task_rules]
    for task in scorers[0].schema.tasks:
        if task.name not in names:
            raise UserError(f"{card.key}: {unknown('task', task.name, names)}, which the model predicts")
    labels: list[Any] = []
    groups: list[Any] = []
    said: list[list[dict[str, Values]]] = [[] for _ in scorers]
    history = None if card.history is None else kept_of_card(card, home, raw, progress)
    for rows in rows_of(card, home, raw, progress):
        chosen = np.ones(len(rows.split), bool) if split is None else rows.split == SPLITS.index(split)
        if not chosen.any():
            continue
        table = rows.table.filter(pa.array(chosen))
        if history is not None:
            table = history.beside(table)
        for scorer, found_by in zip(scorers, said, strict=True):
            found_by.append(scorer.predict_table(scorer.rows.checked(table, lambda row: f"row {row + 1} of a part")))
        labels.append(rows.labels[chosen])
        groups.append(rows.group[chosen])
    if not labels:
        raise UserError(f"{card.key}: expected rows to judge by, found none{f' in {split}' if split else ''}")
    whole, group = np.concatenate(labels), np.concatenate(groups).astype(np.int64)
    return Judged(
        whole[:, [names.index(task.name) for task in scorers[0].schema.tasks]],
        tuple({name: np.concatenate([part[name] for part in each]) for name in each[0]} for each in said),
        group,
    )


def joint_labels(schema: Schema, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels (N, T) -> those of each task on all impressions (N, T): the product along its chain, NaN where unknown."""
    return np.stack([product(labels[:, schema.chain(at)]) for at in range(len(schema.tasks))], axis=1)
