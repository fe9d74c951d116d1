"""A real MLflow server that can be stopped and started, and a server that never answers."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RealServer:
    """`mlflow server` on loopback with a sqlite file and artifacts in a folder; the same port after
    each start.
    """

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        options += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        options += ["--artifacts-destination", str(self.folder / "artifacts")]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = (self.folder / "server.log").open("ab")
        command = [sys.executable, "-m", "mlflow", "server", *options]
        environment = {**os.environ, **quiet}
        settings = {"env": environment, "cwd": self.folder, "start_new_session": True}
        self._process = subprocess.Popen(command, stdout=log, stderr=log, **settings)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).read()
                return
            except OSError:
                time.sleep(0.2)
        self.stop()
        pytest.skip(
            f"mlflow server did not start here: {(self.folder / 'server.log').read_text()[-300:]}"
        )

    def stop(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)  # it is the leader of a session of its own
            self._process.wait()
            self._process = None


@contextmanager
def silent_server():
    """Accepts, and never answers. Gives port and connections."""
    server = socket.create_server(("127.0.0.1", 0))
    accepted, over = [], threading.Event()

    def serve():
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            accepted.append(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1], accepted
    finally:
        over.set()
        server.close()
        for connection in accepted:
            connection.close()
