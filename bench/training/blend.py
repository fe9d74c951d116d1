"""A blend of a network and boosted trees: what both predict of a row, averaged with a share for each task.

Probabilities are averaged in logits, values of regressions as they are. Nothing is trained: a replicate of a blend
joins the kept predictions of its parts' replicates of the same number, which have the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from bench.data import SplitName, Store
from bench.errors import TrainingError
from bench.objectives import Objective, outcomes_of
from bench.predictions import Damaged, Floats, name_of, path, predictions
from bench.records import NETWORK, SHARE, Job, Scalar, TrialResult, training_of
from bench.rows import SEARCH
from bench.schema import Schema
from bench.training.evaluation import PIECE, Predictions, measured, measured_splits
from bench.training.tree_settings import merit

SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.0, 1.0)
"""Of the network, those that are tried; the first of equals is taken."""
CLIP = 1e-7
"""How near to 0 or 1 a probability is taken to be at the most."""


def parts_of(config: Mapping[str, Scalar], replicate: int) -> tuple[str, str]:
    """Names of the kept predictions of its network and its trees, see `bench.predictions.name_of`.

    Its configuration also has the settings of its trees, which tell these from other trees of the run.
    """
    trees = {name: value for name, value in config.items() if name.startswith("trees.")}
    return name_of(str(config[NETWORK]), replicate), name_of(training_of("trees", None, None, trees), replicate)


def run_blend(job: Job, store: Store) -> TrialResult:
    """Mixes what a blend's parts predict, and measures it on a job's splits, on the rows that are kept.

    Raises:
        TrainingError: the job has no folder of predictions.
        Damaged: predictions of a part are changed or gone.
    """
    if job.predictions is None:
        raise TrainingError("expected the folder where its parts' predictions are, found none")
    folder, names = Path(job.predictions), parts_of(job.config, job.replicate)
    shares = [float(str(job.config[f"{SHARE}{task.name}"])) for task in store.schema.tasks]

    def of(split: SplitName) -> Iterator[Predictions]:
        return mixed(*joint_of(folder, split, names), shares, store.schema)

    metrics, resampled = measured_splits(job, store, of, kept=True)
    return TrialResult(metrics, {}, [], dict(job.config), resampled=resampled)


def joint_of(folder: Path, split: str, names: tuple[str, str]) -> tuple[Floats, Floats]:
    """Joint predictions (n, T) of both parts.

    Raises:
        Damaged: they are changed or gone.
    """
    network, trees = (predictions(folder, split, name) for name in names)
    if network is None or trees is None:
        raise Damaged(path(folder, split, names[0 if network is None else 1]))
    return network, trees


def mixed(network: Floats, trees: Floats, shares: Sequence[float], schema: Schema) -> Iterator[Predictions]:
    """Predictions of a blend, piece by piece, from the joint ones (n, T) of its parts.

    Joint predictions are mixed with joint ones. A task's conditional prediction, which is the joint one over its
    parent's, is mixed with the other part's conditional one.

    Args:
        shares: of the network, by task.
    """
    for start in range(0, len(network), PIECE):
        one, other = (np.asarray(part[start : start + PIECE], np.float64) for part in (network, trees))
        conditional, joint = np.empty((2, *one.shape), np.float32)
        for at, (task, share) in enumerate(zip(schema.tasks, shares, strict=True)):
            binary = task.kind == "binary"
            joint[:, at] = conditional[:, at] = mix([(share, one[:, at]), (1 - share, other[:, at])], binary)
            if (parent := schema.parents[at]) is not None:
                first, second = (part[:, at] / np.maximum(part[:, parent], CLIP) for part in (one, other))
                conditional[:, at] = mix([(share, first), (1 - share, second)], binary)
        yield conditional, joint


def mix(parts: Sequence[tuple[float, NDArray[Any]]], binary: bool) -> NDArray[Any]:
    """(n,), what several models predict of a task, averaged by their shares: probabilities in logits."""
    own = [(share, np.asarray(said, np.float64)) for share, said in parts if share]
    if len(own) == 1:
        return own[0][1]
    if not binary:
        return np.asarray(sum(share * said for share, said in own))
    return np.asarray(expit(sum(share * logit(np.clip(said, CLIP, 1 - CLIP)) for share, said in own)))


def shares_of(
    store: Store, folder: Path, objectives: Sequence[Objective], names: Sequence[tuple[str, str]]
) -> dict[str, Scalar]:
    """The network's share of each task, as a part of a configuration: the best of `SHARES` on validation.

    A task is judged by its first objective, or without one by AUC or the least error; by the mean over replicates.

    Args:
        folder: of kept predictions.
        names: of those of both parts, by replicate.
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
                value = merit(metrics, task.name) if own is None else own.sign * metrics.get(own.key(SEARCH), -np.inf)
                sums[place, at] += value
    best = np.nan_to_num(sums, nan=-np.inf).argmax(axis=0)
    return {f"{SHARE}{task.name}": SHARES[at] for task, at in zip(schema.tasks, best.tolist(), strict=True)}
