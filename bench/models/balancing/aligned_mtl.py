"""Aligned-MTL: independent component alignment."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.gramian import DEPENDENT, Gradients, GramianAggregation


class AlignedMTLConfig(Config):
    """Options of Aligned-MTL."""

    scale: Literal["min", "median", "rmse"] = "min"
    """The common norm of the principal components: the least of theirs (the paper's; it makes the
    step as short as the weakest component), their lower median, or their root mean square."""


class AlignedMTL(GramianAggregation):
    """sqrt(s) G^(-1/2) 1, with s chosen by `scale`: gives the gradients' principal components equal
    norms.

    Senushkin et al., CVPR 2023, algorithm 1, with a pseudo-inverse; T times its step with equal
    preferences. Components whose norm is below 1/1000 of the largest are treated as rounding.
    """

    config: AlignedMTLConfig

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,)."""
        relative = gradients.norms / gradients.norms.max()
        values, vectors = np.linalg.eigh(gradients.cosines * np.outer(relative, relative))
        independent = values > DEPENDENT * values[-1]
        values, vectors = values[independent], vectors[:, independent]
        scale = {
            "min": values[0],
            "median": values[(len(values) - 1) // 2],
            "rmse": values.mean(),
        }[self.config.scale]
        return np.asarray(vectors @ (np.sqrt(scale / values) * vectors.sum(0)))
