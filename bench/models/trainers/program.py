"""A trainer that is a program: it reads `job.json`, and writes predictions.

job.json                    what to train: see `docs/own-model.md`
predictions/<split>.parquet row, and a column a task
answer.json                 optional: {"costs": {"latency_ms": 2.5}}
log.txt                     what it wrote to stdout and stderr, the last of it
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from bench.core.errors import TrainerError, shortened
from bench.core.system.atomic import write_text
from bench.models.trainers.trainer_file import TrainerFile

LOG = "log.txt"
CHUNK, CHUNKS = 1 << 14, 64
"""Of what a program writes the last MiB is kept."""
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class LastWords(threading.Thread):
    """Reads what a program writes, and keeps the end of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._chunks: deque[bytes] = deque(maxlen=CHUNKS)
        self._bytes = 0

    def run(self) -> None:
        """Reads to the end of the stream."""
        while chunk := os.read(self._stream.fileno(), CHUNK):
            self._chunks.append(chunk)
            self._bytes += len(chunk)

    def text(self) -> str:
        """The end, after a line that says how much was left out."""
        self.join(timeout=1.0)  # a grandchild may hold the stream open
        end = b"".join(self._chunks)
        text = end.decode("utf-8", errors="replace")
        left_out = self._bytes - len(end)
        return f"[{left_out:,} bytes before this were left out]\n{text}" if left_out else text


def run_program(trainer: TrainerFile, job_file: Path, threads: int) -> None:
    """Runs a trainer's command with the path of `job.json` as its last argument, to its end.

    It ends with this process, and so do the processes that it began, where the time is over. Its
    log lies beside `job.json`.

    Raises:
        TrainerError: it cannot be started, takes too long, dies or ends with another code than 0.
    """
    command = list(trainer.command)
    if command[0] in ("python", "python3"):
        command[0] = sys.executable
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    environment = os.environ | numbers | trainer.environment
    try:
        process = subprocess.Popen(
            [*command, str(job_file)],
            cwd=trainer.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_limits(trainer.memory_mb),
        )
    except OSError as error:
        raise TrainerError(
            f"{trainer.name}: expected a program '{command[0]}' that can be started, found: "
            f"{error.strerror}"
        ) from None
    assert process.stdout is not None
    words = LastWords(process.stdout)
    words.start()
    try:
        code: int | None = process.wait(trainer.seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _end_group(process)
        log = words.text()
        write_text(job_file.with_name(LOG), log)
    if code != 0:
        raise TrainerError(_reason(trainer, code, log, job_file.with_name(LOG)))


def _limits(memory_mb: int | None) -> Callable[[], None]:
    """What the new process does before its program begins."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def apply() -> None:
        os.setsid()
        if libc is not None:
            libc.prctl(_END_WITH_PARENT, signal.SIGKILL)
        if memory_mb is not None:
            limit = memory_mb << 20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return apply


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the program, if it runs, and the processes that it began."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(trainer: TrainerFile, code: int | None, log: str, file: Path) -> str:
    if code is None:
        what = f"took longer than {trainer.seconds:g} s"
    elif code < 0:
        name = signal.Signals(-code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        what = f"was killed by {name}{hint}"
    else:
        what = f"ended with code {code}"
    lines = [line for line in log.splitlines() if line.strip()]
    last = f"; its last line: {shortened(lines[-1].strip())}" if lines else ""
    return f"{trainer.name} {what}{last} (all of it: {file})"
