"""Files and folders that are whole or absent: written under a temporary name, flushed to disk, then
renamed.

The temporary name holds the id of the writing process, so leftovers of killed processes differ from
files in progress. A write that fails for the user's reasons (a full disk, no permission) is a
UserError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TypeVar

import psutil

from bench.core.errors import UserError

T = TypeVar("T")

DAY = 24 * 3600
RETIRED = "was"
"""Name of an old folder, within a temporary one, while another takes its place."""
_PROCESS = re.compile(r"([0-9a-f]{8})-(\d+)-(\d+)")
_WRITER = re.compile(r"\.([0-9a-f]{8}-\d+-\d+)\.[^.]*\.part")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_REFUSED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR)
_SHORT = re.compile(r"\d+ requested and \d+ written")  # NumPy's message has no errno
_RUST = re.compile(r"\(os error (\d+)\)")  # safetensors wraps the system's error in its own
_FROM_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; renames it to `target` on success, removes it on
    failure.

    Raises:
        Unwritable: there is no room, no permission, or a folder of that name.
        UserError: it would lie below a file, or is a device or a pipe.
    """
    with room_for(target):
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise UserError(f"expected a file, found a device or a pipe: {target}")
        fd, name = _beside(target, tempfile.mkstemp)
        os.close(fd)
        temporary = Path(name)
        try:
            yield temporary
            # A temporary file is private, the target gets the usual mode.
            temporary.chmod(0o666 & ~_umask())
            rename(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target`; it replaces `target` on success and is removed on
    failure.

    `target` is the old folder or the new one at every moment. Only where two folders cannot be
    exchanged (NFS, macOS) it is absent for an instant; if the process is killed then,
    `remove_abandoned` puts the old one back. Errors as of `atomic_path`.
    """
    with room_for(target):
        temporary = Path(_beside(target, tempfile.mkdtemp))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            flush(temporary)
            if not target.exists():
                os.replace(temporary, target)
            elif not _exchanged(temporary, target):
                with scratch_folder(target) as retired:
                    os.replace(target, retired / RETIRED)
                    os.replace(temporary, target)
            _flush_one(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # after an exchange it is the old one


@contextmanager
def scratch_folder(neighbour: Path) -> Iterator[Path]:
    """Yields an empty folder beside a file or folder, under a temporary name, and removes it."""
    folder = Path(_beside(neighbour, tempfile.mkdtemp))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rename(source: Path, target: Path) -> None:
    """Renames a file or folder after flushing it to disk: after a power cut the target is whole or
    absent.
    """
    flush(source)
    os.replace(source, target)
    _flush_one(target.parent)


def flush(path: Path) -> None:
    """Waits until a file, or a folder with all files in it, is on disk; does not follow links."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink():
                _flush_one(file)
        _flush_one(Path(folder))
    if path.is_file():
        _flush_one(path)


def _flush_one(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot do it for folders
            raise
    finally:
        os.close(file)


def write_text(target: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def writer_of(temporary: Path) -> bool | None:
    """Whether the process that writes under this temporary name lives; None if unknown."""
    match = _WRITER.search(temporary.name)
    if match is None:
        return None
    return lives(match[1])


def remove_abandoned(shelf: Path, pattern: str = ".*.part") -> None:
    """Removes temporary files of this machine's dead processes; those of unknown writers after a
    day without change. A folder that one of them moved away and did not replace is put back.
    """
    for path in shelf.glob(pattern):
        alive = writer_of(path)
        changed = max(map(_time, (path, *path.rglob("*"))))
        if alive or (alive is None and time.time() - changed <= DAY):
            continue
        if path.is_dir():
            _put_back(path)
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # it is gone, or another user's
                path.unlink()


def _put_back(temporary: Path) -> None:
    """Moves the folder that a killed process retired to its name, where nothing has it."""
    match = _WRITER.search(temporary.name)
    retired = temporary / RETIRED
    if match is None or not retired.is_dir():
        return
    target = temporary.with_name(temporary.name[1 : match.start()])
    if not target.exists():
        os.replace(retired, target)


def this_process() -> str:
    """Names this process uniquely among all machines, see `lives`."""
    return f"{_host()}-{os.getpid()}-{int(_started(os.getpid()))}"


def lives(process: str) -> bool | None:
    """Whether a process lives, by its name of `this_process`; None if unknown."""
    match = _PROCESS.fullmatch(process)
    if match is None or match[1] != _host():
        return None
    try:
        started = _started(int(match[2]))
    except psutil.NoSuchProcess:
        return False
    return abs(started - int(match[3])) < 2  # process ids are reused


def _started(process: int) -> float:
    """Start of a process in seconds since boot, so that a changed clock makes no difference."""
    booted = psutil.boot_time()
    return psutil.Process(process).create_time() - booted


def _beside(target: Path, make: Callable[[str, str, Path], T]) -> T:
    """Calls `mkstemp` or `mkdtemp` beside a target, after removing what killed processes left of
    the target.
    """
    folder = writable(target.parent)
    try:
        remove_abandoned(folder, f".{escape(target.name)}.*.part")
        return make(".part", f".{target.name}.{this_process()}.", folder)
    except FileNotFoundError as error:  # as in /proc
        raise Unwritable(target, error.errno) from None


def _exchanged(first: Path, second: Path) -> bool:
    """Exchanges two folders atomically; returns False, having done nothing, where the system
    cannot.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_FROM_HERE, os.fsencode(first), _FROM_HERE, os.fsencode(second))
    return rename is not None and rename(*names, _EXCHANGE) == 0


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    current = os.umask(0o022)
    os.umask(current)
    return current


def _time(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


class Unwritable(UserError):
    """A file or folder that cannot be written; the text names it and the reason."""

    def __init__(self, where: Path | str, number: int | None, help: str = "") -> None:
        self.where, self.number = where, number
        super().__init__(f"{where}: cannot be written: {os.strerror(number or errno.EIO)}{help}")


def no_room(error: BaseException, where: Path | str) -> Unwritable | None:
    """Converts an error that says there is no room into a sentence for the user; None for any other
    error.
    """
    number = _number(error)
    if number not in _FULL:
        return None
    return Unwritable(where, number)


def says_no_room(text: str) -> bool:
    """Whether the text of an error, perhaps of another process, is that of an `Unwritable` for want
    of room.
    """
    return any(text.endswith(f": cannot be written: {os.strerror(number)}") for number in _FULL)


def refused(error: OSError) -> UserError | None:
    """Converts a refused access to a file into a sentence for the user; None for any other
    error.
    """
    if error.errno not in _REFUSED or error.filename is None:
        return None
    return UserError(f"{error.filename}: cannot be used: {os.strerror(error.errno)}")


@contextmanager
def room_for(target: Path) -> Iterator[None]:
    """Turns a full disk or a refused access into `Unwritable`, for code that writes `target`, below
    or beside it.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, Unwritable):  # it may name a part of the target, or a temporary file
            if _is_about(error.where, target):
                raise Unwritable(target, error.number) from None
            raise
        full = no_room(error, target)
        if full is not None:
            raise full from None
        if isinstance(error, OSError) and _is_refused(error, target):
            raise Unwritable(target, error.errno) from None
        raise


def writable(folder: Path) -> Path:
    """Creates a folder if it is absent; raises UserError if it is a file, or cannot be created or
    written.
    """
    try:
        with room_for(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"expected a folder, found a file: {folder}") from None
    except FileNotFoundError as error:  # as in /proc, or in a folder that was removed
        raise Unwritable(folder, error.errno or errno.ENOENT) from None
    if not os.access(folder, os.W_OK):
        raise Unwritable(folder, errno.EACCES)
    return folder


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, OSError) and _SHORT.search(str(error)):
        return errno.ENOSPC
    number = _RUST.search(str(error))
    if number is None:
        return None
    return int(number[1])


def _is_refused(error: OSError, target: Path) -> bool:
    return error.errno in _REFUSED and _is_about(error.filename, target)


def _is_about(name: object, target: Path) -> bool:
    """Whether an error's file is the target, is below or beside it, or is a folder that holds
    it.
    """
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    path = Path(os.fsdecode(name))
    return path.is_relative_to(target.parent) or target.is_relative_to(path)
