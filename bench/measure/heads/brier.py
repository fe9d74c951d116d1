"""The Brier score: the mean squared error of probabilities (Brier, Monthly Weather Review 1950)."""

from __future__ import annotations

from bench.measure.heads.base import Mean, squared

brier = Mean((squared,), lambda rows, squares: squares / rows)
