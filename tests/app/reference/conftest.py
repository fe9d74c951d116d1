"""Rows of a reference whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from bench.app.reference.one_training import RESAMPLES, fusions
from bench.app.reference.table import Row
from bench.core.objectives import Objective

OBJECTIVES = (Objective("click.auc", "maximize"), Objective("buy.auc", "maximize"))
OUTCOMES = ("click.recall@10%", "buy.recall@10%")
NAMES = ("cagrad", "mgda", "fairgrad", "pcgrad", "upgrad", "nash_mtl", "aligned_mtl", "db_mtl")
SEED, ROWS, OWN = 4e-4, 3e-4, 1e-4
"""Standard deviations: of what a seed does to all alike and to one, of what rows do, and of both in
one training.
"""


@pytest.fixture(scope="session")
def simulated():
    """Rows of one data set on which gradient methods lie `beyond` the concave front of static
    weights.
    """

    def make(beyond, seed, seeds=6, data="made", methods=3):
        rng = np.random.default_rng(seed)
        common = rng.normal(0, SEED, (seeds, 2))
        moved = rng.normal(0, ROWS, (RESAMPLES, 2))
        configurations = []
        for place in range(7):
            angle = np.pi / 2 * (0.15 + 0.7 * place / 6)
            weights = {
                f"balancing.static.weight.{task}": float(2**side)
                for task, side in (("click", place / 2), ("buy", 3 - place / 2))
            }
            configurations.append(("static", weights, np.array([np.sin(angle), np.cos(angle)])))
        for place in range(methods):
            angle = np.pi / 2 * (0.35 + 0.3 * place / (methods - 1))
            configurations.append(
                (
                    NAMES[place],
                    {"balancing.kind": NAMES[place]},
                    np.array([np.sin(angle), np.cos(angle)]),
                )
            )
        rows = []
        for balancing, config, direction in configurations:
            truth = 0.8 + 0.004 * direction + (0 if balancing == "static" else beyond) * direction
            for number in range(seeds + 1):
                values = truth + common[number - 1] + rng.normal(0, OWN, 2)
                resampled = moved + rng.normal(0, OWN, moved.shape)
                row = Row(
                    data,
                    "f",
                    "shared_bottom",
                    balancing,
                    "trial",
                    number,
                    dict(config),
                    tuple(objective.name for objective in OBJECTIVES),
                    OUTCOMES,
                    valid=values.tolist(),
                )
                if number:
                    count = len(fusions(2))
                    served = np.tile(values, count)
                    row = replace(
                        row,
                        test=values.tolist(),
                        served=served.tolist(),
                        test_moved=resampled.ravel().tolist() if number <= 3 else [],
                        served_moved=np.tile(resampled, count).ravel().tolist()
                        if number <= 3
                        else [],
                    )
                rows.append(row)
        return rows

    return make
