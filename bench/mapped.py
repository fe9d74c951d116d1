"""Arrays in files, mapped into memory."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ONE_AT_A_TIME = Lock()


def mapped(path: Path) -> NDArray[Any]:
    """An array of a `.npy` file, read only as its rows are used; a file that holds objects is refused.

    One thread at a time: NumPy parses the file's header by `ast`, whose depth counter the threads of Python 3.11
    share. Where the collector ran in the middle of it, a run ended in a SystemError (python/cpython#106905).
    """
    with _ONE_AT_A_TIME:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found
