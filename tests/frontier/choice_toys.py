"""Choices made by hand: a table, and paired posterior draws about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.frontier.choices import Choices

CLICK, LIKE = "click.recall@10%", "like.recall@10%"


def made(
    rows: Mapping[str, Sequence[float]],
    current: str | None = "current",
    noise: float = 0.0,
    draws: int = 400,
    outcomes: Sequence[str] = (CLICK, LIKE),
    served: bool = True,
    segments: pd.DataFrame | None = None,
    seed: int = 0,
    **columns: Sequence[object],
) -> Choices:
    """By point (`7`, `7@1000`, `7 b` for another row of trial 7, `current`, or a baseline's name) its outcomes.

    Args:
        noise: relative standard deviation of each value over draws, independent except for rows of one point; 0 makes
            no draws.
        columns: further columns, such as `size` or `cost/parameters`.
    """
    points = [name.split(" ")[0] for name in rows]
    values = np.array(list(rows.values()), dtype=float)
    table = pd.DataFrame(
        {
            "point": points,
            "name": [f"trial {point}" if point[0].isdigit() else point.replace("_", " ") for point in points],
            "architecture": "mmoe",
            "role": ["trial" if p[0].isdigit() else "current" if p == "current" else "baseline" for p in points],
            "kind": "power" if served else None,
            "weights": [{"click": 0.5, "like": 0.5} if served else None for _ in points],
            "p_nondominated": np.nan,
            "on_front": True,
            "size": np.inf,
        }
    )
    table = table.assign(**dict(zip(outcomes, values.T, strict=True)), **columns)
    alike = {point: np.random.default_rng([seed, at]).standard_normal((draws, len(outcomes)))
             for at, point in enumerate(dict.fromkeys(points))}  # fmt: skip
    moved = np.stack([alike[point] for point in points], axis=1)
    return Choices(
        table=table,
        directions=dict.fromkeys(outcomes, "maximize") | {"cost/parameters": "minimize"},
        objectives=tuple(outcomes),
        drawn=tuple(outcomes),
        draws=values * (1 + noise * moved) if noise else np.zeros((0, *values.shape)),
        current=None if current is None else points.index(current),
        segments=segments,
    )
