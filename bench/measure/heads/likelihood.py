"""Log loss, and log loss over the entropy of the base rate: normalised entropy (He et al., ADKDD 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.measure.heads.base import Mean, label, log_loss


def _normalised(rows: Any, positives: Any, loss: Any) -> Any:
    rate = positives / rows
    return loss / rows / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))


logloss = Mean((log_loss,), lambda rows, loss: loss / rows)
ne = Mean((label, log_loss), _normalised)
