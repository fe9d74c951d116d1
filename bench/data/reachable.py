"""What no model can beat on generated data: the metrics of the true probabilities behind the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from bench.data.tasks import TaskRule

Numbers = NDArray[np.float64]


def auc(labels: NDArray[np.float32], scores: Numbers) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney); NaN where a class is absent."""
    positive = labels == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if n1 == 0 or n0 == 0:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def reachable(
    split: str, rules: tuple[TaskRule, ...], labels: NDArray[np.float32], truth: dict[str, Numbers]
) -> dict[str, float]:
    """Metrics of the truth on one split, under the names that trained models report.

    Args:
        labels: (N, T).
        truth: task -> (N,), the true mean, or the probability given its parent; for tasks that state one.
    """
    index = {rule.name: i for i, rule in enumerate(rules)}
    parents = {rule.name: rule.parent for rule in rules}
    best: dict[str, float] = {}
    for rule in rules:
        if rule.name not in truth:
            continue
        own, score, prefix = labels[:, index[rule.name]], truth[rule.name], f"{split}/{rule.name}"
        if rule.kind == "regression":
            best[f"{prefix}.rmse"] = float(np.sqrt(np.mean((own - score) ** 2)))
            best[f"{prefix}.spearman"] = float(spearmanr(own, score).statistic)
        elif rule.parent is None:
            best[f"{prefix}.auc"] = auc(own, score)
        else:
            happened = labels[:, index[rule.parent]] == 1
            best[f"{prefix}.cvr.auc"] = auc(own[happened], score[happened])
            joint, ancestor = score, parents[rule.name]
            while ancestor is not None and ancestor in truth:
                joint, ancestor = joint * truth[ancestor], parents[ancestor]
            if ancestor is None:
                best[f"{prefix}.ctcvr.auc"] = auc(own, joint)
    return best
