"""Downloads that go on where they stopped, packages of the Python index, and named members out of
archives.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from bench.core.system.atomic import atomic_path, room_for, write_text
from bench.core.system.progress import Progress
from bench.data.sources import PackageSource

ATTEMPTS = 3
"""Tries in a row that bring no byte."""
TIMEOUT = 30.0
"""Seconds without a byte."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class FetchError(Exception):
    """Why one source did not deliver; the next is tried."""


def download(url: str, target: Path, sha256: str | None, progress: Progress) -> None:
    """Fetches `url` to `target` by way of `<target>.part`, which a later call continues.

    A connection that breaks is taken up again, until `ATTEMPTS` tries in a row bring no byte. A
    part that the server has changed since (by its ETag or date) is begun again. Raises FetchError
    for no answer, an HTTP error, or other bytes than pinned, and UserError for a full disk.
    """
    part = target.with_name(target.name + ".part")
    resumed = _size(part) > 0
    _complete(url, part, progress)
    if sha256 is not None:
        with part.open("rb") as file:
            part_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if part_sha256 != sha256:
            part.unlink()
            if not resumed:
                raise FetchError(f"{url}: expected sha256 {sha256}, found {part_sha256}")
            download(url, target, sha256, progress)  # the old part may be to blame
            return
    part.replace(target)
    _tag(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _complete(url: str, part: Path, progress: Progress) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        size_before = _size(part)
        try:
            with room_for(part):
                complete = _transfer(url, part, progress)
            if complete:
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"HTTP {error.code} {error.reason}"
            if error.code == 416 and size_before:  # nothing follows: the part is whole or stale
                total = error.headers.get("Content-Range", "").rpartition("/")[2]
                if total == str(size_before):
                    return
                part.unlink()
                reason = "the part at hand does not fit the file"
            elif error.code < 500:
                raise FetchError(f"{url}: {reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: a URL with letters that none may have.
            cause = getattr(error, "reason", error)
            text = getattr(cause, "strerror", None) or cause or type(cause).__name__
            reason = f"no connection: {text}"

        failures = 0 if _size(part) > size_before else failures + 1
        if failures >= ATTEMPTS:
            if part.exists() and not _size(part):
                part.unlink()
            raise FetchError(f"{url}: {reason}")
        time.sleep(0.2 * failures)


def _transfer(url: str, part: Path, progress: Progress) -> bool:
    """One connection. Returns whether all bytes are there."""
    size = _size(part)
    headers = {"User-Agent": "seesaw-bench", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
        if _tag(part).exists():
            headers["If-Range"] = _tag(part).read_text(encoding="utf-8")
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        total = None
        if response.status == 206:
            span = _RANGE.match(response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != size:  # another range: all is asked for next
                part.unlink(missing_ok=True)
                return False
            if span[2] != "*":  # a server may send a range in pieces
                total = int(span[2])
        else:
            size = 0
        length = response.headers.get("Content-Length")
        if total is None and length is not None:
            total = size + int(length)

        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            write_text(_tag(part), tag)
        with (
            progress.task(f"fetching {url.rpartition('/')[2]}", total, "B") as advance,
            part.open("ab" if size else "wb") as file,
        ):
            advance(size)
            while block := response.read(1 << 18):
                file.write(block)
                size += len(block)
                advance(len(block))
    return total is None or size >= total


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


STEP = 1 << 20
"""Bytes of a member that are in memory."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""Errors of archives that are cut, damaged or encrypted."""


def extract(archive: Path, member: str, target: Path) -> None:
    """Copies one member to `target`. Nothing else is unpacked, so no member chooses where it is
    written.

    `member` is its path, or the end of it from a folder on; `inner.tar.gz::path` looks into an
    archive in the archive. Raises FetchError for no archive or no such member, and UserError for a
    full disk.
    """
    *outer, last = member.split("::")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with room_for(target), ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(archive.open("rb"))
            for name in outer:
                # A file: an archive is read here and there.
                inner = stack.enter_context(TemporaryFile(dir=target.parent))
                with _member(stream, name) as packed:
                    shutil.copyfileobj(packed, inner, STEP)
                inner.seek(0)
                stream = inner
            content = stack.enter_context(_member(stream, last))
            with atomic_path(target) as temporary, temporary.open("wb") as out:
                shutil.copyfileobj(content, out, STEP)
    except _BROKEN as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise FetchError(f"{archive.name}: broken archive: {reason}") from None
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
        member = tar.extractfile(_match(tar.getnames(), name))
        if member is None:  # a folder
            raise KeyError(name)
        yield member


def _match(names: list[str], wanted: str) -> str:
    for name in names:
        if name == wanted or name.endswith(f"/{wanted}"):
            return name
    raise KeyError(wanted)


_PIP_OPTIONS = (
    "--no-deps --no-binary :all: --require-hashes --no-build-isolation --use-pep517 --no-cache-dir "
    "--disable-pip-version-check --no-input --progress-bar off --retries 2 --timeout 30"
)
_BACKEND = """
import os
import sys


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, "{stem}.dist-info"))
    with open(os.path.join(folder, "{stem}.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return "{stem}.dist-info"


__legacy__ = sys.modules[__name__]
"""


def download_package(source: PackageSource, folder: Path, progress: Progress) -> Path:
    """Fetches a source distribution of the Python package index into `folder`, through the pip
    client.

    pip asks a package's build backend for metadata before it hands over the file. A stand-in
    backend answers in its place with the name and version that are known already: nothing of the
    package is run and nothing else is downloaded, on every Python. pip checks the pinned hash
    itself. Raises FetchError, in pip's words, for no pip, no network, no such version, or another
    hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work, out = Path(scratch), Path(scratch) / "out"
        backend = _write_backend(source, work)
        requirements = work / "requirements.txt"
        requirements.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", *_PIP_OPTIONS.split()]
        command += ["-r", str(requirements), "-d", str(out)]
        environment = os.environ | {"PYTHONPATH": str(backend), "TMPDIR": str(work)}
        with progress.task(f"fetching {source.label}", None, "B"):
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        files = list(out.glob("*"))
        if done.returncode or len(files) != 1:
            raise FetchError(f"{source.label}: {_reason(done.stdout.decode(errors='replace'))}")
        return files[0].replace(folder / files[0].name)


def _write_backend(source: PackageSource, work: Path) -> Path:
    """Writes the stand-in backend; returns the folder that Python finds it in."""
    backend = work / "backend" / "setuptools"
    backend.mkdir(parents=True)
    stem = f"{source.name.replace('-', '_')}-{source.version}"
    code = _BACKEND.format(stem=stem, name=source.name, version=source.version)
    (backend / "build_meta.py").write_text(code, encoding="utf-8")
    (backend / "__init__.py").touch()
    return backend.parent


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if any("HASHES" in line for line in errors):
        return "the package on the index has another sha256 than pinned"
    retries = [line for line in lines if "Retrying" in line]
    if retries:
        cause = re.split("Failed to establish a new connection: |broken by ", retries[-1])[-1]
        cause = cause.partition("')': ")[0].strip("'\"() ")
        return f"no connection to the package index: {cause[:200]}"
    return (errors or lines or ["pip gave no reason"])[0][:200]
