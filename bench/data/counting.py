"""What a manifest says of labels, counted part by part."""

from __future__ import annotations

import numpy as np

from bench.data.card import Card
from bench.data.encoding.running import RunningMoments
from bench.data.labels import Labels
from bench.data.splits import of_validation
from bench.errors import UserError


class LabelCounts:
    """Rows of one split, and for each task the labels that are observed, and their mean and deviation."""

    def __init__(self, card: Card) -> None:
        self.card, self.rows = card, 0
        self.of_task = [RunningMoments() for _ in card.tasks]
        self.positives = np.zeros(len(card.tasks), np.int64)

    def add(self, labels: Labels) -> None:
        """Takes in labels (n, T)."""
        self.rows += len(labels)
        self.positives += (labels == 1).sum(axis=0)
        for moments, column in zip(self.of_task, labels.T, strict=True):
            moments.add(column.astype(np.float64))

    def facts(self) -> dict[str, dict[str, float | int]]:
        """For each task: labels observed; positives and their rate, or mean and deviation."""
        found: dict[str, dict[str, float | int]] = {}
        for task, moments, positives in zip(self.card.tasks, self.of_task, self.positives.tolist(), strict=True):
            if task.kind == "binary":
                rate = positives / moments.known if moments.known else 0.0
                found[task.name] = {"observed": moments.known, "positives": positives, "rate": rate}
            else:
                mean, deviation = moments.moments
                found[task.name] = {"observed": moments.known, "mean": mean, "deviation": deviation}
        return found

    def check(self, split: str, empty_reason: str) -> None:
        """Raises UserError where the split is empty, or a task that is trained by default has too few labels in it."""
        if self.rows == 0:
            raise UserError(f"{self.card.key}: split '{split}'{of_validation(split)} is empty: {empty_reason}")
        for rule, moments, positives in zip(self.card.task_rules, self.of_task, self.positives.tolist(), strict=True):
            if rule.optional:
                continue
            if rule.kind == "binary" and not 0 < positives < moments.known:
                found = f"{positives} of {moments.known} are positive"
                needs = f"task '{rule.name}' needs both classes in split '{split}'{of_validation(split)}"
                raise UserError(f"{self.card.key}: {needs}, but {found}")
            if moments.known == 0:
                needs = f"task '{rule.name}' has no label in split '{split}'{of_validation(split)}"
                raise UserError(f"{self.card.key}: {needs}")
