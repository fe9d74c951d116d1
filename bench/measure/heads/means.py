"""Metrics that need only sums over rows.

Of probabilities: the log loss; normalised entropy, which is the log loss over the entropy of the
base rate (He et al., ADKDD 2014); the Brier score (Monthly Weather Review 1950). Of values: the
mean absolute error, and the root of the mean squared one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.measure.heads.base import MeanMetric, absolute, label, log_loss, squared


def _normalised(rows: Any, positives: Any, loss: Any) -> Any:
    rate = positives / rows
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    return loss / rows / entropy


logloss = MeanMetric((log_loss,), lambda rows, loss: loss / rows)
ne = MeanMetric((label, log_loss), _normalised)
brier = MeanMetric((squared,), lambda rows, squares: squares / rows)
rmse = MeanMetric((squared,), lambda rows, squares: np.sqrt(squares / rows))
mae = MeanMetric((absolute,), lambda rows, errors: errors / rows)
