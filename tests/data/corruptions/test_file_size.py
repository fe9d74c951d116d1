"""The system itself refuses to write: a limit on the size of files, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from corruptions import disk
from corruptions.work import Work

resource = pytest.importorskip("resource", reason="limits on the size of files are Unix's")
LIMITED = """
import resource, sys
from bench.cli import main

good, *prepare = sys.argv[1:]
assert main(["prepare", good, *prepare[1:3], "--home", prepare[-1] + "2"]) == 0  # compiles without limit
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
sys.exit(main(["prepare", *prepare]))
"""


@pytest.mark.slow
def test_a_file_that_must_not_grow_is_one_sentence(work_of: Callable[[str], Work]) -> None:
    work = work_of("log")
    stores, names = work.stores(), work.names()
    good = work.folder / "good.toml"
    good.write_bytes(work.card.read_bytes())
    disk.anew(work)
    command = [sys.executable, "-c", LIMITED, str(good), *map(str, work.prepare[1:])]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 2, said.stderr
    assert said.stderr.count("\n") == 1
    assert str(work.home) in said.stderr
    assert said.stderr.endswith(": cannot be written: File too large\n")
    assert work.stores() == stores
    assert work.names() == names
