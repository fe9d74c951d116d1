"""Choices made by hand: a table, and paired posterior draws about it."""

from dataclasses import replace

import numpy as np
import pandas as pd
from ledger_toys import made_served

from bench.core.objectives import Objective, direction_of
from bench.core.rows import CONFIRM, TEST
from bench.deciding.aims import aims_of
from bench.deciding.choices import CHOOSING, RETRAINED, Choices
from bench.deciding.policy import Policy
from bench.ledger.ledger import FACTS

CLICK, LIKE = "click.recall@10%", "like.recall@10%"
EQUAL = aims_of(Policy(), (CLICK, LIKE), {}, today=False)[0]
"""Both equally important, with no more to keep than a random order has."""


def made(
    rows,
    current="current",
    noise=0.0,
    draws=400,
    outcomes=(CLICK, LIKE),
    served=True,
    seed=0,
    slices=None,
    **columns,
):
    """By point (`7`, `7@1000`, `7 b` for another row of trial 7, `current`, or a baseline's name)
    its outcomes.

    Args:
        noise: relative standard deviation of each value over draws, of the truth and of retrainings
            alike, independent except for rows of one point; 0 makes no draws.
        slices: by slice of confirmation rows its cells.
        columns: further columns, such as `size` or `cost/parameters`.
    """
    points = [name.split(" ")[0] for name in rows]
    values = np.array(list(rows.values()), dtype=float)
    table = pd.DataFrame(
        {
            "point": points,
            "name": [
                f"trial {point}" if point[0].isdigit() else point.replace("_", " ")
                for point in points
            ],
            "architecture": "mmoe",
            "role": [
                "trial" if p[0].isdigit() else "current" if p == "current" else "baseline"
                for p in points
            ],
            "kind": "power" if served else None,
            "weights": [{"click": 0.5, "like": 0.5} if served else None for _ in points],
            "p_nondominated": np.nan,
            "on_front": True,
            "size": np.inf,
        }
    )
    table = table.assign(**dict(zip(outcomes, values.T, strict=True)), **columns)
    noise_of = {
        point: np.random.default_rng([seed, place]).standard_normal((draws, len(outcomes)))
        for place, point in enumerate(dict.fromkeys(points))
    }
    moved = np.stack([noise_of[point] for point in points], axis=1)
    drawn = values * (1 + noise * moved) if noise else np.zeros((0, *values.shape))
    choices = Choices(
        measures=tuple(Objective(name, direction_of(name) or "maximize") for name in outcomes),
        table=table,
        cells={},
        draws={CHOOSING: drawn, RETRAINED: drawn},
        current=None if current is None else points.index(current),
    )
    if slices is None:
        return choices
    return replace(choices, cells=served_of(choices, slices).without(TEST).cells)


def served_of(choices, slices=None):
    """The front that these choices are of, the same on confirmation rows and test; cells by slice
    are of both.
    """
    outcomes = [Objective(name, "maximize") for name in choices.names]
    splits = (CONFIRM, TEST)
    values = dict.fromkeys(splits, choices.values(choices.names))
    cells = {
        (split, name): of_slice for split in splits for name, of_slice in (slices or {}).items()
    }
    draws = dict.fromkeys(splits, choices.drawn)
    assert choices.current is not None
    return made_served(outcomes, choices.table[list(FACTS)], values, draws, choices.current, cells)
