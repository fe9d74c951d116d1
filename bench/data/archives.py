"""Named members out of tar and zip archives. Nothing else is unpacked, so no member chooses where it is written."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from bench.atomic import atomic_path
from bench.data.download import FetchError
from bench.full_disk import room_for

STEP = 1 << 20
"""Bytes of a member that are held."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What archives raise that are cut, damaged or encrypted."""


def extract(archive: Path, member: str, target: Path) -> None:
    """Copies one member to `target`.

    Args:
        member: its path, or the end of it from a folder on; `inner.tar.gz::path` looks into an archive in the archive.

    Raises:
        FetchError: not an archive, or no such member.
        UserError: the disk is full.
    """
    with room_for(target):
        _extract(archive, member, target)


def _extract(archive: Path, member: str, target: Path) -> None:
    *outer, last = member.split("::")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(archive.open("rb"))
            for name in outer:
                inner = stack.enter_context(TemporaryFile(dir=target.parent))  # an archive is read here and there
                with _member(stream, name) as packed:
                    shutil.copyfileobj(packed, inner, STEP)
                inner.seek(0)
                stream = inner
            content = stack.enter_context(_member(stream, last))
            with atomic_path(target) as temporary, temporary.open("wb") as out:
                shutil.copyfileobj(content, out, STEP)
    except _BROKEN as error:
        raise FetchError(f"{archive.name}: broken archive: {str(error).splitlines()[0].rstrip(':')}") from None
    except KeyError:
        raise FetchError(f"{archive.name}: expected a member '{member}', found none") from None


@contextmanager
def _member(archive: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as pack, pack.open(_match(pack.namelist(), name)) as content:
            yield content
        return
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        found = tar.extractfile(_match(tar.getnames(), name))
        if found is None:  # a folder
            raise KeyError(name)
        yield found


def _match(names: list[str], wanted: str) -> str:
    for name in names:
        if name == wanted or name.endswith(f"/{wanted}"):
            return name
    raise KeyError(wanted)
