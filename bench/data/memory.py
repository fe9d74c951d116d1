"""Peak memory of this process."""

from __future__ import annotations

import sys


def peak_memory_mb() -> float:
    """The most resident memory that the process has had since it began."""
    if sys.platform == "win32":
        import psutil  # type: ignore[import-untyped,unused-ignore]

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
