"""Errors of values: the root of the mean square, and the mean."""

from __future__ import annotations

import numpy as np

from bench.measure.heads.base import Mean, absolute, squared

rmse = Mean((squared,), lambda rows, squares: np.sqrt(squares / rows))
mae = Mean((absolute,), lambda rows, errors: errors / rows)
