"""What no model can beat on generated data: the metrics of the true probabilities behind the
labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

from bench.core.arrays import Floats, Singles
from bench.data.tasks import TaskRule


def auc(labels: Singles, scores: Floats) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney); NaN where a class is absent."""
    positive = labels == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if n1 == 0 or n0 == 0:
        return float("nan")
    rank_sum = rankdata(scores)[positive].sum()
    return float((rank_sum - n1 * (n1 + 1) / 2) / (n1 * n0))


def reachable(
    split: str, rules: tuple[TaskRule, ...], labels: Singles, truth: dict[str, Floats]
) -> dict[str, float]:
    """Metrics of the truth on one split, under the names that trained models report.

    Args:
        labels: (N, T).
        truth: task -> (N,), the true mean, or the probability given its parent; for tasks that
            state one.
    """
    labels_of_task = {rule.name: labels[:, task] for task, rule in enumerate(rules)}
    parent_of_task = {rule.name: rule.parent for rule in rules}
    best: dict[str, float] = {}
    for rule in rules:
        if rule.name not in truth:
            continue
        name = f"{split}/{rule.name}"
        task_labels, score, parent = labels_of_task[rule.name], truth[rule.name], rule.parent
        if parent is None:
            best |= _metrics(rule, name, task_labels, score)
            continue
        given_parent = np.where(labels_of_task[parent] == 1, task_labels, np.nan)
        best |= _metrics(rule, f"{name}.cvr", given_parent, score)
        while parent is not None and parent in truth:
            parent_labels = labels_of_task[parent]
            task_labels = np.where(parent_labels == 0, 0, task_labels * parent_labels)
            score = score * truth[parent]
            parent = parent_of_task[parent]
        if parent is None:
            best |= _metrics(rule, f"{name}.ctcvr", task_labels, score)
    return best


def _metrics(rule: TaskRule, name: str, labels: Singles, truth: Floats) -> dict[str, float]:
    observed = ~np.isnan(labels)
    labels, truth = labels[observed], truth[observed]
    if rule.kind == "binary":
        return {f"{name}.auc": auc(labels, truth)}
    targets = labels.astype(np.float64)
    return {
        f"{name}.rmse": float(np.sqrt(np.mean((targets - truth) ** 2))),
        f"{name}.spearman": float(spearmanr(targets, truth).statistic),
    }


def reachable_in(folder: Path, rules: tuple[TaskRule, ...], split: str) -> dict[str, float]:
    """Metrics of the truth that lies in the folder of a split; its file is removed.

    Empty where rows have weights, which these metrics do not know. They rank a whole split, so this
    alone holds a column of one in memory: generated data has a truth, files do not.
    """
    path = folder / "truth.npy"
    truths, labels = np.load(path), np.load(folder / "labels.npy")
    path.unlink()
    if (folder / "weights.npy").is_file():
        return {}
    names = [rule.name for rule in rules if rule.truth]
    columns = np.ascontiguousarray(truths.T)
    return reachable(split, rules, labels, dict(zip(names, columns, strict=True)))
