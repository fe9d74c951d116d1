"""Which balancers see losses, and which gradients."""

from __future__ import annotations

from bench.balancing import BALANCING
from bench.testing.balancing import is_of_gradients

WEIGHTINGS = [name for name in BALANCING if not is_of_gradients(name)]
GRADIENTS = [name for name in BALANCING if is_of_gradients(name)]
