"""What this machine offers, and what this process takes of it."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata

import psutil

from bench.errors import UserError

WORKER = "SEESAW_WORKER"
"""Set in a worker process: its number among the driver's workers, from 0."""


WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
"""How long OpenMP threads keep a core busy while they wait for each other, before they sleep: a few microseconds, and
with Intel's library, whose unit is that, a millisecond. By themselves they wait so for milliseconds, or .2 s. On cores
that others want, too, those they wait for do not run meanwhile: training then takes fifty times as long."""


def set_waiting() -> None:
    """Sets `WAITING` where the user has set neither that nor `OMP_WAIT_POLICY`; to be called before torch is imported.

    Processes that are started later have it, too.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


@contextmanager
def tree_threads(threads: int) -> Iterator[None]:
    """Boosted trees take that many threads at most inside the context.

    A limit holds for the libraries that are loaded when it begins. So scikit-learn, which takes a second, is imported.
    """
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


DEVICES = ("auto", "cpu", "cuda")


def check_device_name(name: str) -> str:
    """The name; raises UserError where it is no device's. Whether the device is there, torch must say."""
    if name not in DEVICES:
        raise UserError(f"device: expected one of {', '.join(DEVICES)}, found '{name}'")
    return name


def worker_number() -> int:
    """The number of this worker process; 0 where it is none."""
    return int(os.environ.get(WORKER, 0))


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def processor_vendor() -> str:
    """As the processor names itself ("GenuineIntel", "AuthenticAMD"); empty where the system does not say."""
    return _processor("vendor_id")


def processor() -> str:
    """The processor's model; its architecture where the system does not say."""
    return _processor("model name") or platform.machine()


def _processor(fact: str) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as facts:
            return next((line.partition(":")[2].strip() for line in facts if line.startswith(fact)), "")
    except OSError:
        return ""


def versions() -> dict[str, str]:
    """Python, this package, and the libraries whose version can change a result."""
    found = {"python": platform.python_version()}
    for name in ("seesaw-bench", "torch", "optuna", "mlflow", "numpy", "pyarrow", "numba", "moocore"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


_RESERVED = 128 << 20  # bytes of addresses, not of memory


@cache
def keep_freed_memory() -> None:
    """Lets the C library keep large freed blocks instead of giving each back to the system.

    A training step frees and takes the same few megabytes again and again; by default glibc maps and unmaps each, and
    the page faults cost a quarter of a small model's step. Linux is asked for pages of 2 MiB for the first of them,
    which save 3% more. Elsewhere than on glibc this does nothing.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    libc.mallopt(m_mmap_threshold, 32 << 20)  # what is larger and does not fit goes back when it is freed
    libc.mallopt(m_trim_threshold, (1 << 31) - 1)
    libc.mallopt(m_top_pad, _RESERVED)
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    block = libc.malloc(ctypes.c_size_t(16 << 20))  # the heap grows for it, and by the pad
    libc.mallopt(m_top_pad, 128 << 10)  # as it comes
    if block:
        start, end = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE, libc.sbrk(0) // mmap.PAGESIZE * mmap.PAGESIZE
        if start < end:  # refused where the system has no such pages
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(block))


def reset_peak_memory() -> None:
    """Starts a new peak where the system allows it (Linux), so that a warm worker reports each trial's own."""
    try:
        with open("/proc/self/clear_refs", "w") as control:
            control.write("5")
    except OSError:
        return  # elsewhere the peak is the process's since it began: an upper bound


def peak_memory_mb() -> float:
    """Largest resident memory of this process since the last reset, in MiB."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass  # no such file: not Linux
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource  # not there on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


MEMORY_VARIABLE = "SEESAW_MEMORY_MB"
_CONTAINER_LIMIT = "/sys/fs/cgroup/memory.max"


def memory_limit() -> int:
    """Bytes that samples may take: $SEESAW_MEMORY_MB (MiB), else half of the memory of the machine or container.

    Half of all memory, not a part of what is free: that changes from minute to minute, and the order of the samples,
    which hangs on whether they fit, must not.

    Raises:
        UserError: the variable is no whole number above 0.
    """
    given = os.environ.get(MEMORY_VARIABLE)
    if not given:
        return installed() // 2
    if not given.isdecimal() or int(given) == 0:
        raise UserError(f"expected ${MEMORY_VARIABLE} to be a whole number of MiB above 0, found '{given}'")
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
