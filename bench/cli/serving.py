"""Pages on this machine's loopback address: to nobody else, and nothing but the pages."""

from __future__ import annotations

from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.errors import UserError

LOOPBACK = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves the HTML files of a folder on 127.0.0.1.

    Args:
        port: 0 takes any that is free.
        refresh: called before the first page is answered, each time.

    Raises:
        UserError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int, refresh: Callable[[], object]) -> None:
        self.folder, self.refresh = folder, refresh
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(f"--port: expected one that is free, found {port}: {error.strerror}") from None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    server: PageServer

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(arguments[2].folder))

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path == "/":
            self.server.refresh()
        super().do_GET()

    def do_HEAD(self) -> None:
        if not self._refused():
            super().do_HEAD()

    def _refused(self) -> bool:
        """Whether to refuse a request: another name for this address (a page elsewhere may make one), or not a page."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{LOOPBACK}:{port}", f"localhost:{port}"):
            self.send_error(403)
        elif self.path != "/" and not self.path.endswith(".html"):
            self.send_error(404)
        else:
            return False
        return True

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing of each request."""
