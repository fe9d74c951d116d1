"""What this machine offers."""

from __future__ import annotations

import ctypes
import os
import platform
from importlib import metadata


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Python, this package, and the libraries whose version can change a result."""
    found = {"python": platform.python_version()}
    for name in ("seesaw-bench", "torch", "torchjd", "optuna", "mlflow", "numpy", "pyarrow", "numba", "moocore"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def keep_freed_memory() -> None:
    """Lets the C library keep large freed blocks instead of giving each back to the system.

    A training step frees and takes the same few megabytes again and again; by default glibc maps and unmaps each, and
    the page faults cost a quarter of a small model's step. Elsewhere than on glibc this does nothing.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    m_trim_threshold, m_mmap_threshold = -1, -3
    libc.mallopt(m_mmap_threshold, 1 << 30)
    libc.mallopt(m_trim_threshold, (1 << 31) - 1)
