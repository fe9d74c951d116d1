"""SHA-256 of raw files' content, remembered by size and modification time: big files are hashed once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.atomic import write_text
from bench.data.readers.raw import open_raw
from bench.progress import Progress


@dataclass(frozen=True)
class Digest:
    """What a file holds, unpacked."""

    sha256: str
    size: int


def content_digest(path: Path, memory: Path, progress: Progress) -> Digest:
    """Digest of a file's unpacked content: the same for `x.csv` and `x.csv.gz`.

    Args:
        memory: JSON file with digests of earlier calls; made where absent.
    """
    stat = path.stat()
    name, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
    known = _read(memory)
    if (entry := known.get(name)) is not None and entry["state"] == state:
        return Digest(str(entry["sha256"]), int(entry["size"]))
    sha, size = hashlib.sha256(), 0
    with progress.task(f"checking {path.name}", stat.st_size, "B") as advance, open_raw(path, advance) as stream:
        while block := stream.read(1 << 20):
            sha.update(block)
            size += len(block)
    digest = Digest(sha.hexdigest(), size)
    known[name] = {"state": state, "sha256": digest.sha256, "size": size}
    write_text(memory, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return digest


def _read(memory: Path) -> dict[str, dict[str, Any]]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return known if isinstance(known, dict) else {}
