from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

from bench.data.fetch import content_digest


def test_packed_and_plain_content_have_one_digest(tmp_path: Path, recorder: Any) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"hello"))
    digests = {content_digest(tmp_path / name, tmp_path / "memory.json", recorder) for name in ("a", "b.gz")}
    assert [(d.sha256, d.size) for d in digests] == [(hashlib.sha256(b"hello").hexdigest(), 5)]


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, recorder: Any) -> None:
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"hello")
    first = content_digest(path, memory, recorder)
    recorder.done.clear()
    assert content_digest(path, memory, recorder) == first
    assert not recorder.done
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    assert content_digest(path, memory, recorder) != first


def test_a_broken_memory_is_made_anew(tmp_path: Path, recorder: Any) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "memory.json").write_text("{")
    assert content_digest(tmp_path / "a", tmp_path / "memory.json", recorder).size == 5
