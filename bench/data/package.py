"""A source distribution of the Python package index, through the pip client and the index it is set up for.

pip asks a package's build backend for metadata before it hands over the file. A stand-in backend answers in its place
with the name and version that are known already: nothing of the package is run and nothing else is downloaded, on
every Python. pip checks the pinned hash itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.data.download import FetchError
from bench.data.sources import PackageSource
from bench.progress import Progress

_BACKEND = """
import os


class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, folder, config_settings=None):
        os.mkdir(os.path.join(folder, "{stem}.dist-info"))
        with open(os.path.join(folder, "{stem}.dist-info", "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return "{stem}.dist-info"


__legacy__ = Backend()
get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
"""


def download_package(source: PackageSource, folder: Path, progress: Progress) -> Path:
    """Fetches the source distribution into `folder`.

    Raises:
        FetchError: no pip, no network, no such version, or another hash than pinned; in pip's words.
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
        (work / "requirements.txt").write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        command += ["--no-build-isolation", "--use-pep517", "--require-hashes", "--no-cache-dir"]
        command += [
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
            "--retries",
            "2",
            "--timeout",
            "30",
        ]
        command += ["-r", str(work / "requirements.txt"), "-d", str(out)]
        (work / "tmp").mkdir()
        environment = os.environ | {"PYTHONPATH": str(backend.parent), "TMPDIR": str(work / "tmp")}
        with (work / "log").open("w+", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                _watch(process, work / "tmp", source, progress)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
            log.seek(0)
            lines = [line.strip() for line in log if line.strip()]
        found = list(out.glob("*")) if out.exists() else []
        if process.returncode or len(found) != 1:
            raise FetchError(f"{source.label}: {_reason(lines)}")
        return found[0].replace(folder / found[0].name)


def _watch(process: subprocess.Popen[bytes], folder: Path, source: PackageSource, progress: Progress) -> None:
    """Shows how pip's temporary file grows; pip's own bar is for terminals."""
    with progress.task(f"fetching {source.label}", None, "B") as advance:
        shown = 0
        while process.poll() is None:
            time.sleep(0.1)
            size = sum(_size(path) for path in folder.glob("pip-unpack-*/*"))
            if size > shown:
                advance(size - shown)
                shown = size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip moved it away in between
        return 0


def _reason(lines: list[str]) -> str:
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if any("HASHES" in line for line in errors):
        return "the package on the index has another sha256 than pinned"
    if warned := [line for line in lines if "Retrying" in line]:
        cause = (
            warned[-1].partition("Failed to establish a new connection: ")[2] or warned[-1].partition("broken by ")[2]
        )
        return "no connection to the package index: " + cause.partition("')': ")[0].strip("'\"() ")[:200]
    return (errors or lines or ["pip gave no reason"])[0][:200]
