"""Two regression tasks whose weights have a given cosine: with a low one the tasks have little in
common.

Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
KDD 2018, 3.2. The paper leaves c, m and the sines open; here they are as in Tang et al.,
"Progressive Layered Extraction", RecSys 2020: alpha, beta ~ N(0, 1), c = 1, m = 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bench.core.registry import Config
from bench.core.seeds import derive


class RelatednessConfig(Config):
    """y_k = w_k.x + sum_i sin(alpha_i w_k.x + beta_i) + noise, x ~ N(0, I)."""

    p: float = Field(0.5, ge=-1, le=1)
    """Cosine of the two tasks' weights."""
    d: int = Field(100, ge=2, le=10_000)
    """Number of inputs."""
    m: int = Field(10, ge=0, le=1000)
    """Number of sines."""
    c: float = Field(1.0, gt=0)
    """Norm of the weights."""
    noise: float = Field(0.01, ge=0)
    """Variance of the noise."""
    rows: int = Field(60_000, ge=100, le=10_000_000)
    seed: int = Field(0, ge=0)


def weights(config: RelatednessConfig, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, d): c u1 and c (p u1 + sqrt(1 - p^2) u2) for orthonormal u1, u2."""
    basis, _ = np.linalg.qr(rng.standard_normal((config.d, 2)))
    u1, u2 = basis.T
    return config.c * np.stack([u1, config.p * u1 + np.sqrt(1 - config.p**2) * u2])


def generate(config: RelatednessConfig) -> Any:
    """Generates x0.., y1, y2 and their noiseless means mean_y1, mean_y2."""
    rng = np.random.default_rng(derive(config.seed, "relatedness"))
    w = weights(config, rng)
    alpha, beta = rng.standard_normal((2, config.m))
    x = rng.standard_normal((config.rows, config.d), np.float32)
    noise = np.sqrt(config.noise) * rng.standard_normal((config.rows, 2))
    projection = x @ w.T  # (N, 2)
    mean = projection.copy()
    for a, b in zip(alpha, beta, strict=True):
        mean += np.sin(a * projection + b)
    y = mean + noise
    table: dict[str, Any] = {f"x{i}": x[:, i] for i in range(config.d)}
    table |= {"y1": y[:, 0], "y2": y[:, 1], "mean_y1": mean[:, 0], "mean_y2": mean[:, 1]}
    return pa.table(table)


def columns(config: RelatednessConfig) -> dict[str, Any]:
    """Inputs: x0, x1, .., all numeric."""
    return {f"x{i}": "numeric" for i in range(config.d)}
