"""HTTP downloads that go on where they stopped."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.atomic import write_text
from bench.full_disk import room_for
from bench.progress import Progress

ATTEMPTS = 3
"""Tries in a row that bring no byte."""
TIMEOUT = 30.0
"""Seconds without a byte."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class FetchError(Exception):
    """Why one source did not deliver; the next is tried."""


def download(url: str, target: Path, sha256: str | None, progress: Progress) -> None:
    """Fetches `url` to `target` by way of `<target>.part`, which a later call continues.

    A connection that breaks is taken up again, until `ATTEMPTS` tries in a row bring no byte. A part that the server
    has changed since (by its ETag or date) is begun anew.

    Raises:
        FetchError: no answer, an HTTP error, or other bytes than pinned.
        UserError: the disk is full.
    """
    part = target.with_name(target.name + ".part")
    resumed = part.exists() and part.stat().st_size > 0
    _complete(url, part, progress)
    if sha256 is not None and (found := sha256_of(part)) != sha256:
        part.unlink()
        if resumed:  # the old part may be to blame
            return download(url, target, sha256, progress)
        raise FetchError(f"{url}: expected sha256 {sha256}, found {found}")
    part.replace(target)
    _tag(part).unlink(missing_ok=True)
    return None


def sha256_of(path: Path) -> str:
    """Of a file's bytes as they are."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
            if error.code == 416 and before:  # nothing after what is here: the part is whole or stale
                if _total(error.headers.get("Content-Range", "")) == before:
                    return
                part.unlink()
                reason = "the part at hand does not fit the file"
            elif error.code < 500:
                raise FetchError(f"{url}: HTTP {error.code} {error.reason}") from None
            else:
                reason = f"HTTP {error.code} {error.reason}"
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a URL with letters it has not
            cause = getattr(error, "reason", error)
            reason = f"no connection: {getattr(cause, 'strerror', None) or cause or type(cause).__name__}"
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
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        span = _RANGE.match(response.headers.get("Content-Range", "")) if response.status == 206 else None
        if span is None or int(span[1]) != have:
            have = 0
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            write_text(_tag(part), tag)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
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


def _total(content_range: str) -> int:
    total = content_range.rpartition("/")[2]
    return int(total) if total.isdigit() else -1


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")
