"""A model served by MLflow's own server on loopback, for tests."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil

STARTED_WITHIN = 90  # seconds


class Server:
    def __init__(self, address, process):
        self.address, self.process = address, process

    def ask(self, document):
        """Status and JSON answer."""
        request = urllib.request.Request(
            f"{self.address}/invocations",
            json.dumps(document).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def rows(self, rows):
        return self.ask({"dataframe_records": rows})

    def memory_mb(self):
        """Of the server and its workers."""
        processes = [self.process, *self.process.children(recursive=True)]
        return float(sum(process.memory_info().rss for process in processes)) / 2**20


@contextmanager
def served(model, log, uri="", workers=1):
    """`mlflow models serve` with the local environment, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        model,
        "--env-manager",
        "local",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {
        "PYTHONPATH": root,
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment |= {"MLFLOW_TRACKING_URI": uri} if uri else {}
    # The server is started by programs that look for others beside this Python.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            server = Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
            _wait(server, process, log)
            yield server
        finally:
            for child in [*server.process.children(recursive=True), server.process]:
                child.terminate()


def _wait(server, process, log):
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"{server.address}/ping", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer within {STARTED_WITHIN} s: {log.read_text(errors='replace')}")
