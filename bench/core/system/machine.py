"""Resources of this machine and their use by this process."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata

import psutil

from bench.core.errors import UserError

WORKER = "SEESAW_WORKER"
"""Environment variable of a worker process: its number among the driver's workers, from 0."""


WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
"""Spin times of OpenMP threads that wait for each other, before they sleep: a few microseconds with
GNU's library, a millisecond with Intel's, its smallest unit. The defaults are milliseconds and .2
s. On cores shared with other processes, spinning blocks the threads it waits for: training then
takes fifty times as long."""


def set_waiting() -> None:
    """Sets `WAITING` before torch's import, unless the user set it or `OMP_WAIT_POLICY`; child
    processes inherit it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


@contextmanager
def tree_threads(threads: int) -> Iterator[None]:
    """Limits boosted trees to `threads` threads inside the context.

    The limit covers the libraries loaded at its start, so scikit-learn is imported first, which
    takes a second.
    """
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


DEVICES = ("auto", "cpu", "cuda")


def check_device_name(name: str) -> str:
    """The name; raises UserError for an unknown device. Only torch can say whether the device
    exists.
    """
    if name not in DEVICES:
        raise UserError(f"device: expected one of {', '.join(DEVICES)}, found '{name}'")
    return name


def worker_number() -> int:
    """This worker's number; 0 outside workers."""
    return int(os.environ.get(WORKER, 0))


def cores() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def processor_vendor() -> str:
    """The processor's vendor ("GenuineIntel", "AuthenticAMD"); empty where the system does not
    say.
    """
    return _processor("vendor_id")


def processor() -> str:
    """The processor's model, or its architecture where the system does not say."""
    return _processor("model name") or platform.machine()


def _processor(fact: str) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as facts:
            for line in facts:
                if line.startswith(fact):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return ""


_LIBRARIES = (
    "seesaw-bench",
    "torch",
    "optuna",
    "mlflow",
    "numpy",
    "pyarrow",
    "numba",
    "moocore",
)


def versions() -> dict[str, str]:
    """Versions of Python, this package, and the libraries that can change a result."""
    installed_versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            installed_versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed_versions[name] = "not installed"
    return installed_versions


def versions_in_words(versions: Mapping[str, str]) -> str:
    """Versions in one line: `python 3.11.7, numpy 2.1.0`."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


_RESERVED = 128 << 20  # bytes of address space, not of memory


@cache
def keep_freed_memory() -> None:
    """Makes glibc keep large freed blocks instead of returning each to the system; does nothing
    without glibc.

    A training step allocates and frees the same few megabytes again and again; by default glibc
    maps and unmaps each, and page faults cost a quarter of a small model's step. Huge pages (2 MiB)
    for the first of them save 3% more.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    # Larger blocks that do not fit are unmapped when freed.
    libc.mallopt(m_mmap_threshold, 32 << 20)
    libc.mallopt(m_trim_threshold, (1 << 31) - 1)
    libc.mallopt(m_top_pad, _RESERVED)
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    block = libc.malloc(ctypes.c_size_t(16 << 20))  # the heap grows by this and the pad
    libc.mallopt(m_top_pad, 128 << 10)  # the default
    if block:
        start = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
        end = libc.sbrk(0) // mmap.PAGESIZE * mmap.PAGESIZE
        if start < end:  # has no effect where the system has no huge pages
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(block))


def reset_peak_memory() -> None:
    """Resets the peak (Linux only), so that a warm worker reports each trial's own."""
    try:
        with open("/proc/self/clear_refs", "w") as control:
            control.write("5")
    except OSError:
        return  # elsewhere the peak covers the process's whole life: an upper bound


def peak_memory_mb() -> float:
    """Largest resident memory of this process since the last reset, in MiB."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass  # no such file: not Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


MEMORY_VARIABLE = "SEESAW_MEMORY_MB"
_CONTAINER_LIMIT = "/sys/fs/cgroup/memory.max"


def memory_limit() -> int:
    """Bytes that samples may use: $SEESAW_MEMORY_MB (MiB), else half of the memory of the machine
    or container.

    Half of all memory, not of free memory: free memory varies, and the order of samples depends on
    whether they fit. Raises UserError unless the variable is a whole number above 0.
    """
    megabytes = os.environ.get(MEMORY_VARIABLE)
    if not megabytes:
        return installed() // 2
    if not megabytes.isdecimal() or int(megabytes) == 0:
        raise UserError(
            f"expected ${MEMORY_VARIABLE} to be a whole number of MiB above 0, found '{megabytes}'"
        )
    return int(megabytes) << 20


def installed() -> int:
    """Memory of the machine in bytes, or the container's limit if lower."""
    total = int(psutil.virtual_memory().total)
    try:
        with open(_CONTAINER_LIMIT) as file:
            limit = file.read().strip()
    except OSError:  # not Linux, or no control group of version 2
        return total
    if not limit.isdecimal():
        return total
    return min(total, int(limit))
