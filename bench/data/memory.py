"""How much memory the samples of a training process may take."""

from __future__ import annotations

import os

import psutil

from bench.errors import UserError

VARIABLE = "SEESAW_MEMORY_MB"
_CONTAINER_LIMIT = "/sys/fs/cgroup/memory.max"


def memory_limit() -> int:
    """Bytes that samples may take: $SEESAW_MEMORY_MB (MiB), else half of the memory of the machine or container.

    Half of all memory, not a part of what is free: that changes from minute to minute, and the order of the samples,
    which hangs on whether they fit, must not.

    Raises:
        UserError: the variable is no whole number above 0.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return installed() // 2
    if not given.isdecimal() or int(given) == 0:
        raise UserError(f"expected ${VARIABLE} to be a whole number of MiB above 0, found '{given}'")
    return int(given) << 20


def installed() -> int:
    """Memory of the machine, or the limit of the container where that is lower."""
    total = int(psutil.virtual_memory().total)
    try:
        with open(_CONTAINER_LIMIT) as file:
            limit = file.read().strip()
    except OSError:  # not Linux, or no control group of version 2
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
