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
    trees = {name: value for name, value in config.items() if name.startswith("trees.")}
    return name_of(str(config[NETWORK]), replicate), name_of(
        training_of("trees", None, None, trees), replicate
    )


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

    def of(split: SplitName) -> Iterator[BothPredictions]:
        return mixed(*joint_of(folder, split, names), shares, store.schema)

    metrics, resampled = measured_splits(job, store, of, kept=True)
    return TrialResult(metrics, {}, [], dict(job.config), resampled=resampled)


def joint_of(folder: Path, split: str, names: tuple[str, str]) -> tuple[Singles, Singles]:
    """Reads the joint predictions (n, T) of both parts; raises `Damaged` if they are changed or
    gone.
    """
    network, trees = (predictions(folder, split, name) for name in names)
    if network is None or trees is None:
        raise Damaged(path(folder, split, names[0 if network is None else 1]))
    return network, trees


def mixed(
    network: Singles, trees: Singles, shares: Sequence[float], schema: Schema
) -> Iterator[BothPredictions]:
    """Yields a blend's predictions, piece by piece, from its parts' joint ones (n, T) and the
    network's shares by task.

    Joint predictions are mixed with joint ones, and conditional ones (a task's joint prediction
    over its parent's) with conditional ones.
    """
    binary, both = (
        [task.kind == "binary" for task in schema.tasks],
        [shares, [1 - share for share in shares]],
    )
    for start in range(0, len(network), PIECE):
        parts = [
            torch.tensor(part[start : start + PIECE], dtype=torch.float64)
            for part in (network, trees)
        ]
        given = [part.clone() for part in parts]
        for at, parent in enumerate(schema.parents):
            if parent is not None:
                for own, part in zip(given, parts, strict=True):
                    own[:, at] /= part[:, parent].clamp(min=CLIP)
        yield mix(given, both, binary).numpy(), mix(parts, both, binary).numpy()


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
    for at, odds in enumerate(binary):
        own = [
            (of[at], part[:, at].to(torch.float64))
            for of, part in zip(shares, parts, strict=True)
            if of[at]
        ]
        total = own[0][1]
        if len(own) > 1:
            first, *others = [share * (_logits(value) if odds else value) for share, value in own]
            total = sum(others, first)
            total = total.sigmoid() if odds else total
        columns.append(total.to(torch.float32))
    return torch.stack(columns, 1)


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
    schema = store.schema
    first = {each.name.partition(".")[0]: each for each in reversed(objectives) if each.is_metric}
    sums = np.zeros((len(SHARES), len(schema.tasks)))
    ranked = outcomes_of([each.name for each in objectives])
    for both in names:
        joint = joint_of(folder, SEARCH, both)
        for place, share in enumerate(SHARES):
            said = mixed(*joint, [share] * len(schema.tasks), schema)
            metrics, _ = measured(store, SEARCH, said, outcomes=ranked, kept=True)
            for at, task in enumerate(schema.tasks):
                own = first.get(task.name)
                value = (
                    merit(metrics, task.name)
                    if own is None
                    else own.sign * metrics.get(own.key(SEARCH), -np.inf)
                )
                sums[place, at] += value
    best = np.nan_to_num(sums, nan=-np.inf).argmax(axis=0)
    return {
        f"{SHARE}{task.name}": SHARES[at]
        for task, at in zip(schema.tasks, best.tolist(), strict=True)
    }
