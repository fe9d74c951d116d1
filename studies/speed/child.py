"""Measurements in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from speed.job import Job, Measured

STUDIES = Path(__file__).parents[1]


@dataclass(frozen=True)
class Child:
    """A process that measures one job."""

    job: Job
    process: subprocess.Popen[str]
    folder: tempfile.TemporaryDirectory[str]

    def wait(self) -> Measured:
        """Its answer.

        Raises:
            SystemExit: it failed; shows what it wrote.
        """
        written, _ = self.process.communicate()
        with self.folder as folder:
            if self.process.returncode:
                raise SystemExit(f"{self.job.system} failed on {self.job.architecture}:\n{written}")
            return Measured.read(Path(folder) / "result.json")


def start(job: Job, peers: Path | None) -> Child:
    """Starts a job; the folder of the public libraries is on their processes' path alone."""
    path = [str(STUDIES), str(STUDIES.parent)]
    if peers is not None and job.system != "seesaw":
        path.append(str(peers))
    count = str(job.threads)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": count,
        "NUMBA_NUM_THREADS": count,
        "TQDM_DISABLE": "1",
    }
    folder = tempfile.TemporaryDirectory()
    job_file = Path(folder.name) / "job.json"
    job.write(job_file)
    command = [
        sys.executable,
        "-m",
        "speed.worker",
        str(job_file),
        str(job_file.with_name("result.json")),
    ]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return Child(job, process, folder)
