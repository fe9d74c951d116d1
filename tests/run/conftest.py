"""Lets test files import `card_shapes`, which lies beside them, and `raw_files` of the tests of data."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
