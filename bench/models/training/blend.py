"""A blend of a network and boosted trees: the average of both predictions, with a share for each
task.

Probabilities are averaged in logits, values of regressions directly. Nothing is trained: a
replicate of a blend joins the kept predictions of its parts' replicates of the same number, which
have the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.core.arrays import Singles
from bench.core.errors import TrainingError
from bench.core.objectives import Objective, outcomes_of
from bench.core.records import NETWORK, SHARE, Job, Scalar, SplitName, TrialResult, training_of
from bench.core.rows import SEARCH
from bench.core.schema import Schema
from bench.data import Store
from bench.measure.predictions import Damaged, name_of, path, predictions
from bench.models.training.evaluation import PIECE, BothPredictions, measured, measured_splits
from bench.models.training.tree_settings import merit

SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.0, 1.0)
"""Shares of the network to try; the first among equals wins."""
CLIP = 1e-7
"""Probabilities are clipped to [CLIP, 1 - CLIP]."""


def parts_of(config: Mapping[str, Scalar], replicate: int) -> tuple[str, str]:
    """Names of the kept predictions of its network and its trees, whose settings are in the blend's
    configuration.
    """
    tree_config = {name: value for name, value in config.items() if name.startswith("trees.")}
    trees = training_of("trees", None, None, tree_config)
    return name_of(str(config[NETWORK]), replicate), name_of(trees, replicate)


def run_blend(job: Job, store: Store) -> TrialResult:
    """Mixes the predictions of a blend's parts and measures the mix on a job's splits, on the kept
    rows.

    Raises TrainingError if the job has no folder of predictions, `Damaged` if a part's are changed
    or gone.
    """
    if job.predictions is None:
        raise TrainingError("expected the folder where its parts' predictions are, found none")
    folder, names = Path(job.predictions), parts_of(job.config, job.replicate)
    shares = [float(str(job.config[f"{SHARE}{task.name}"])) for task in store.schema.tasks]

    def predictions_of(split: SplitName) -> Iterator[BothPredictions]:
        network, trees = joint_of(folder, split, names)
        return mixed(network, trees, shares, store.schema)

    metrics, resampled = measured_splits(job, store, predictions_of, kept_rows=True)
    return TrialResult(metrics, {}, [], dict(job.config), resampled=resampled)


def joint_of(folder: Path, split: str, names: tuple[str, str]) -> tuple[Singles, Singles]:
    """Reads the joint predictions (n, T) of both parts; raises `Damaged` if they are changed or
    gone.
    """
    network_name, trees_name = names
    network = predictions(folder, split, network_name)
    if network is None:
        raise Damaged(path(folder, split, network_name))
    trees = predictions(folder, split, trees_name)
    if trees is None:
        raise Damaged(path(folder, split, trees_name))
    return network, trees


def mixed(
    network: Singles, trees: Singles, network_shares: Sequence[float], schema: Schema
) -> Iterator[BothPredictions]:
    """Yields a blend's predictions, piece by piece, from its parts' joint ones (n, T) and the
    network's shares by task.

    Joint predictions are mixed with joint ones, and conditional ones (a task's joint prediction
    over its parent's) with conditional ones.
    """
    binary = [task.kind == "binary" for task in schema.tasks]
    shares = [network_shares, [1 - share for share in network_shares]]
    for start in range(0, len(network), PIECE):
        rows = slice(start, start + PIECE)
        joint = [torch.tensor(part[rows], dtype=torch.float64) for part in (network, trees)]
        conditional = [_conditional(part, schema) for part in joint]
        yield mix(conditional, shares, binary).numpy(), mix(joint, shares, binary).numpy()


def _conditional(joint: Tensor, schema: Schema) -> Tensor:
    conditional = joint.clone()
    for task, parent in enumerate(schema.parents):
        if parent is not None:
            conditional[:, task] /= joint[:, parent].clamp(min=CLIP)
    return conditional


def mix(
    parts: Sequence[Tensor], shares: Sequence[Sequence[float]], binary: Sequence[bool]
) -> Tensor:
    """Averages predictions (B, T) of several models by their shares: probabilities (`binary` tasks)
    in logits.

    Returns float32, computed in double, which preserves the order near 0 and 1.
    """
    if len(parts) == 1:
        return parts[0]
    columns = []
    for task, is_binary in enumerate(binary):
        predictions, weights = [], []
        for part, share_by_task in zip(parts, shares, strict=True):
            if share_by_task[task]:
                predictions.append(part[:, task].to(torch.float64))
                weights.append(share_by_task[task])
        if len(predictions) == 1:
            column = predictions[0]
        elif is_binary:
            column = _weighted_sum([_logits(p) for p in predictions], weights).sigmoid()
        else:
            column = _weighted_sum(predictions, weights)
        columns.append(column.to(torch.float32))
    return torch.stack(columns, 1)


def _weighted_sum(predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = weights[0] * predictions[0]
    for weight, prediction in zip(weights[1:], predictions[1:], strict=True):
        total = total + weight * prediction
    return total


def _logits(p: Tensor) -> Tensor:
    p = p.clamp(CLIP, 1 - CLIP)
    return p.log() - (-p + 1).log()


def shares_of(
    store: Store, folder: Path, objectives: Sequence[Objective], names: Sequence[tuple[str, str]]
) -> dict[str, Scalar]:
    """The network's share for each task, as a part of a configuration: the best of `SHARES` on
    validation.

    A task is judged by its first objective, or else by its loss, in the mean over replicates.
    `names` are of both parts' predictions in `folder`, by replicate.
    """
    tasks = store.schema.tasks
    objective_by_task = {}
    for objective in reversed(objectives):
        if objective.is_metric:
            objective_by_task[objective.name.partition(".")[0]] = objective
    outcomes = outcomes_of([objective.name for objective in objectives])

    sums = np.zeros((len(SHARES), len(tasks)))
    for names_of_replicate in names:
        network, trees = joint_of(folder, SEARCH, names_of_replicate)
        for row, share in enumerate(SHARES):
            blend = mixed(network, trees, [share] * len(tasks), store.schema)
            metrics, _ = measured(store, SEARCH, blend, outcomes=outcomes, kept_rows=True)
            for column, task in enumerate(tasks):
                sums[row, column] += _merit(metrics, task.name, objective_by_task.get(task.name))
    best = np.nan_to_num(sums, nan=-np.inf).argmax(axis=0).tolist()
    return {f"{SHARE}{task.name}": SHARES[row] for task, row in zip(tasks, best, strict=True)}


def _merit(metrics: Mapping[str, float], task: str, objective: Objective | None) -> float:
    if objective is None:
        return merit(metrics, task)
    return objective.sign * metrics.get(objective.key(SEARCH), -np.inf)
