"""FairGrad: alpha-fair allocation of the tasks' progress."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.gramian import Gradients, GramianAggregation, bargain


class FairGradConfig(Config):
    """Options of FairGrad."""

    alpha: float = Field(2.0, ge=0.1, le=10)
    """Fairness: near 0 only the total progress counts, 1 is Nash-MTL, and large values favour the
    task that gains least."""


class FairGrad(GramianAggregation):
    """Weights a > 0 with G a = a^(-1 / alpha) (Ban & Ji, ICML 2024), scaled and applied to towers
    as in `nash_mtl`.
    """

    weighs_own = True
    config: FairGradConfig

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) > 0."""
        return bargain(gradients, self.config.alpha)
