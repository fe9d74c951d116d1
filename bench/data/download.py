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
    resumed = part.exists() and part.stat().st_size > 0
    _complete(url, part, progress)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if sha256 is not None else None
    if found != sha256:
        part.unlink()
        if resumed:  # the old part may be to blame
            return download(url, target, sha256, progress)
        raise FetchError(f"{url}: expected sha256 {sha256}, found {found}")
    part.replace(target)
    _tag(part).unlink(missing_ok=True)
    return None


def _complete(url: str, part: Path, progress: Progress) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            with room_for(part):
                whole = _transfer(url, part, progress)
            if whole:
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            error.close()
            if (
                error.code == 416 and before
            ):  # nothing after what is here: the part is whole or stale
                if error.headers.get("Content-Range", "").rpartition("/")[2] == str(before):
                    return
                part.unlink()
                reason = "the part at hand does not fit the file"
            elif error.code < 500:
                raise FetchError(f"{url}: HTTP {error.code} {error.reason}") from None
            else:
                reason = f"HTTP {error.code} {error.reason}"
        except (
            OSError,
            http.client.HTTPException,
            ValueError,
        ) as error:  # ValueError: a URL with letters it has not
            cause = getattr(error, "reason", error)
            reason = (
                "no connection: "
                f"{getattr(cause, 'strerror', None) or cause or type(cause).__name__}"
            )
        grown = part.exists() and part.stat().st_size > before
        failures = 0 if grown else failures + 1
        if failures >= ATTEMPTS:
            if part.exists() and not part.stat().st_size:
                part.unlink()
            raise FetchError(f"{url}: {reason}")
        time.sleep(0.2 * failures)


def _transfer(url: str, part: Path, progress: Progress) -> bool:
    """One connection. Returns whether all bytes are there."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "seesaw-bench", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if _tag(part).exists():
            headers["If-Range"] = _tag(part).read_text(encoding="utf-8")
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT
    ) as response:
        span = (
            _RANGE.match(response.headers.get("Content-Range", ""))
            if response.status == 206
            else None
        )
        if response.status != 206:
            have = 0
        elif (
            span is None or int(span[1]) != have
        ):  # another range than asked for: all of it is asked for next
            part.unlink(missing_ok=True)
            return False
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            write_text(_tag(part), tag)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        if span is not None and span[2] != "*":  # a server may send a range in pieces
            total = int(span[2])
        with (
            progress.task(f"fetching {url.rpartition('/')[2]}", total, "B") as advance,
            part.open("ab" if have else "wb") as file,
        ):
            advance(have)
            while block := response.read(1 << 18):
                file.write(block)
                have += len(block)
                advance(len(block))
    return total is None or have >= total


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


STEP = 1 << 20
"""Bytes of a member that are held."""
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
                # an archive is read here and there
                inner = stack.enter_context(TemporaryFile(dir=target.parent))
                with _member(stream, name) as packed:
                    shutil.copyfileobj(packed, inner, STEP)
                inner.seek(0)
                stream = inner
            content = stack.enter_context(_member(stream, last))
            with atomic_path(target) as temporary, temporary.open("wb") as out:
                shutil.copyfileobj(content, out, STEP)
    except _BROKEN as error:
        raise FetchError(
            f"{archive.name}: broken archive: {str(error).splitlines()[0].rstrip(':')}"
        ) from None
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
        backend = work / "backend" / "setuptools"
        backend.mkdir(parents=True)
        stem = f"{source.name.replace('-', '_')}-{source.version}"
        code = _BACKEND.format(stem=stem, name=source.name, version=source.version)
        (backend / "build_meta.py").write_text(code, encoding="utf-8")
        (backend / "__init__.py").touch()
        (work / "requirements.txt").write_text(
            f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n"
        )
        options = (
            "--no-deps --no-binary :all: --require-hashes --no-build-isolation --use-pep517 "
            "--no-cache-dir"
        )
        options += (
            " --disable-pip-version-check --no-input --progress-bar off --retries 2 --timeout 30"
        )
        command = [sys.executable, "-m", "pip", "download", *options.split()]
        command += ["-r", str(work / "requirements.txt"), "-d", str(out)]
        environment = os.environ | {"PYTHONPATH": str(backend.parent), "TMPDIR": str(work)}
        with progress.task(f"fetching {source.label}", None, "B"):
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        lines = [
            line.strip()
            for line in done.stdout.decode(errors="replace").splitlines()
            if line.strip()
        ]
        found = list(out.glob("*")) if out.exists() else []
        if done.returncode or len(found) != 1:
            raise FetchError(f"{source.label}: {_reason(lines)}")
        return found[0].replace(folder / found[0].name)


def _reason(lines: list[str]) -> str:
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if any("HASHES" in line for line in errors):
        return "the package on the index has another sha256 than pinned"
    if warned := [line for line in lines if "Retrying" in line]:
        cause = re.split("Failed to establish a new connection: |broken by ", warned[-1])[-1]
        return (
            "no connection to the package index: "
            + cause.partition("')': ")[0].strip("'\"() ")[:200]
        )
    return (errors or lines or ["pip gave no reason"])[0][:200]
