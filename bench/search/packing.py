"""Many numbers in one short text: float32, little-endian, in base64. A tenth of what JSON takes for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np


def packed(values: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Each sequence as a text."""
    return {key: base64.b64encode(np.asarray(each, "<f4").tobytes()).decode() for key, each in values.items()}


def unpacked(texts: Mapping[str, str]) -> dict[str, list[float]]:
    """The inverse of `packed`, to single precision."""
    return {key: np.frombuffer(base64.b64decode(text), "<f4").astype(float).tolist() for key, text in texts.items()}
