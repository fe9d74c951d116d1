"""One measurement in a process of its own: `python -m speed.worker JOB.json RESULT.json`."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import psutil

from speed.job import Job

SYSTEMS = {
    "seesaw": ("speed.ours", {}),
    "deepctr-torch": ("speed.deepctr", {}),
    "torch-rechub": ("speed.rechub", {}),
    "deepctr-torch, fused Adam": ("speed.deepctr", {"fused": True}),
}
"""System -> its module and options. The last is not how the library comes: see
docs/studies/performance.md.
"""


def since_start() -> float:
    """Seconds since this process began."""
    return time.time() - psutil.Process().create_time()


def main() -> None:
    """Reads the job, measures, writes the result."""
    job = Job.read(Path(sys.argv[1]))
    import torch

    torch.set_num_threads(job.threads)
    module, options = SYSTEMS[job.system]
    importlib.import_module(module).measure(job, since_start, **options).write(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
