"""Small cards and files, and a file server on loopback that can be told to misbehave."""

import copy
import http.server
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

SHOP: dict[str, Any] = {
    "id": "shop",
    "title": "A shop",
    "licence": "MIT",
    "citation": "-",
    "homepage": "https://example.org",
    "group": "user",
    "reader": {"kind": "csv"},
    "files": [{"name": "log.csv"}],
    "columns": {"user": "categorical", "price": {"kind": "numeric"}, "tags": "multi-valued"},
    "tasks": [
        {"name": "click", "column": "click"},
        {"name": "buy", "column": "buy", "parent": "click"},
    ],
    "split": {"kind": "random", "valid": 0.2, "test": 0.2},
}


@pytest.fixture
def shop():
    """A valid card's values, free to change."""
    return copy.deepcopy(SHOP)


@pytest.fixture
def shop_raw(tmp_path):
    """A folder with the shop's `log.csv`: 200 rows, users 0..9, a price missing in every 7th
    row.
    """
    folder = tmp_path / "raw"
    folder.mkdir()
    lines = ["user,price,tags,click,buy,day,weight"]
    for i in range(200):
        price = "" if i % 7 == 0 else f"{i * 0.5}"
        lines.append(
            f'u{i % 10},{price},"{"a,b,c"[: i % 6]}",{int(i % 3 == 0)},{int(i % 6 == 0)},{20240101 + i // 20},{i}'
        )
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return folder


class Recorder:
    """A progress that remembers."""

    def __init__(self):
        self.notes: list[str] = []
        self.done: dict[str, float] = {}

    @contextmanager
    def task(self, description, total, unit, done=0.0):
        self.done[description] = done

        def advance(amount):
            self.done[description] += amount

        yield advance

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def recorder():
    return Recorder()


@dataclass
class Server:
    """Files by path; what was asked for; connections still to be cut, as the number of bytes to
    send before.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    most: int | None = None
    """Bytes of a range that are sent at a time."""


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.requests.append((self.path, asked))
            if state.failures:
                self.send_error(state.failures.pop(0))
                return
            if self.path not in state.files:
                self.send_error(404)
                return
            content, etag = state.files[self.path], state.etags.get(self.path)
            start, end = 0, len(content)
            fresh = self.headers.get("If-Range") in (None, etag)
            if asked and state.ranges and fresh:
                match = re.fullmatch(r"bytes=(\d+)-", asked)
                start = int(match[1])
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                end = min(end, start + (state.most or end))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            else:
                self.send_response(200)
            if etag:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            body = content[start:end]
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        running.shutdown()
        thread.join()
