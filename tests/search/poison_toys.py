"""Jobs that harm whoever runs them, as their configuration says. Light to import: workers start
often here.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.core.records import TrialResult

HOARD: list[bytearray] = []


def poison(job):
    """Does what `how` says; leaves a mark for each attempt in the store's folder."""
    marks = Path(job.store)
    attempts = len(list(marks.glob(f"{job.trial}-*")))
    (marks / f"{job.trial}-{attempts}").write_text(str(os.getpid()))
    if attempts >= int(job.config.get("times", 99) or 0):
        return good(job)
    harm = HARMS.get(str(job.config.get("how")))
    if harm is not None and (result := harm()) is not None:
        return result
    return good(job)


def good(job):
    return TrialResult(
        {"valid/click.auc": 0.5, "valid/like.auc": job.trial / 100, "pid": float(os.getpid())},
        {},
        [],
        {},
    )


def _hungry():
    """More memory than the system lets this process have."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
    HOARD.append(bytearray(1 << 32))


def _unserialisable():
    return TrialResult({"valid/click.auc": 0.5}, {}, [], {"lock": threading.Lock()})


def _pipe():
    """Descriptors of this process that are sockets: the pipe to the driver."""
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    return [
        descriptor
        for descriptor in descriptors
        if os.path.exists(f"/proc/self/fd/{descriptor}") and _is_socket(descriptor)
    ]


def _is_socket(descriptor):
    return os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")


def _write(data, length=None):
    """A message to the driver: its length, by default the right one, and what it holds."""
    for descriptor in _pipe():
        os.write(descriptor, struct.pack("!i", len(data) if length is None else length) + data)


def _chatter():
    print("{}" * 5000, flush=True)
    print("garbage", file=sys.__stdout__, flush=True)
    os.write(1, b"\x00\xff garbage\n")


def _close_everything():
    os.closerange(0, 100)


def _die_before_a_child():
    """What it started lives on for a while, with all that it had open."""
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


HARMS: dict[str, Any] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "kill, a child lives": _die_before_a_child,
    "leave": lambda: sys.exit(4),
    # a sleep that holds the interpreter's lock: no thread can run
    "spin": lambda: ctypes.PyDLL(None).sleep(600),
    "hungry": _hungry,
    "lock in the result": _unserialisable,
    "garbage": lambda: _write(b"garbage"),
    "a wrong length": lambda: _write(b"garbage", 1 << 30),
    "another's answer": lambda: _write(
        b'{"result": null, "failure": null, "started": 0, "seconds": 0}'
    ),
    "closed pipe": _close_everything,
    "chatter": _chatter,
}
