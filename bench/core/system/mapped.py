"""Arrays in files, mapped into memory."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ONE_AT_A_TIME = Lock()


def mapped(path: Path) -> NDArray[Any]:
    """Maps the array of a `.npy` file into memory, read-only; refuses a file with Python objects.

    One thread at a time: NumPy parses the header by `ast`, whose depth counter threads of Python
    3.11 share, so a garbage collection there could end in a SystemError (python/cpython#106905).
    """
    with _ONE_AT_A_TIME:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
