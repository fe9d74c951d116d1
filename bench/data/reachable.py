"""What no model can beat on generated data: the metrics of the true probabilities behind the
labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from bench.core.arrays import Floats
from bench.data.tasks import TaskRule


def auc(labels: NDArray[np.float32], scores: Floats) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney); NaN where a class is absent."""
    positive = labels == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if n1 == 0 or n0 == 0:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def reachable(
    split: str, rules: tuple[TaskRule, ...], labels: NDArray[np.float32], truth: dict[str, Floats]
) -> dict[str, float]:
    """Metrics of the truth on one split, under the names that trained models report.

    Args:
        labels: (N, T).
        truth: task -> (N,), the true mean, or the probability given its parent; for tasks that
            state one.
    """
    index = {rule.name: i for i, rule in enumerate(rules)}
    parents = {rule.name: rule.parent for rule in rules}
    best: dict[str, float] = {}
    for rule in rules:
        if rule.name not in truth:
            continue
        own, score, name = labels[:, index[rule.name]], truth[rule.name], f"{split}/{rule.name}"
        if rule.parent is None:
            best |= _measured(rule, name, own, score)
            continue
        above = labels[:, index[rule.parent]]
        best |= _measured(rule, f"{name}.cvr", np.where(above == 1, own, np.nan), score)
        whole, joint, ancestor = own, score, parents[rule.name]
        while ancestor is not None and ancestor in truth:
            of_parent = labels[:, index[ancestor]]
            whole = np.where(of_parent == 0, 0, whole * of_parent)
            joint, ancestor = joint * truth[ancestor], parents[ancestor]
        if ancestor is None:
            best |= _measured(rule, f"{name}.ctcvr", whole, joint)
    return best


def _measured(
    rule: TaskRule, name: str, labels: NDArray[np.float32], truth: Floats
) -> dict[str, float]:
    seen = ~np.isnan(labels)
    if rule.kind == "binary":
        return {f"{name}.auc": auc(labels[seen], truth[seen])}
    own, said = labels[seen].astype(np.float64), truth[seen]
    return {
        f"{name}.rmse": float(np.sqrt(np.mean((own - said) ** 2))),
        f"{name}.spearman": float(spearmanr(own, said).statistic),
    }


def reachable_in(folder: Path, rules: tuple[TaskRule, ...], split: str) -> dict[str, float]:
    """Metrics of the truth that lies in the folder of a split; its file is removed.

    None where rows have weights, which these metrics do not know. They rank a whole split, so this
    alone holds a column of one in memory: generated data has a truth, files do not.
    """
    path = folder / "truth.npy"
    truth, labels = np.load(path), np.load(folder / "labels.npy")
    path.unlink()
    if (folder / "weights.npy").is_file():
        return {}
    names = [rule.name for rule in rules if rule.truth]
    return reachable(
        split,
        rules,
        labels,
        {name: np.ascontiguousarray(truth[:, at]) for at, name in enumerate(names)},
    )
