from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.data import parse_card, prepare
from bench.system.atomic import DAY, atomic_folder, atomic_path, remove_abandoned

CHILD = """
import json, sys, time
from pathlib import Path
from bench.data import parse_card, prepare
from bench.data.arrays import ArrayWriter

def stall(self, array):
    print("writing", flush=True)
    time.sleep(600)

ArrayWriter.append = stall
prepare(parse_card(json.loads(sys.argv[1]), "here"), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def parts(shelf: Path) -> list[Path]:
    return list(shelf.glob(".*.part"))


@pytest.fixture
def half(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> Any:
    """A process that stands still in the middle of writing a store."""
    command = [sys.executable, "-c", CHILD, json.dumps(shop), str(tmp_path), str(shop_raw)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


@pytest.mark.slow
def test_what_a_killed_process_left_goes_when_next_prepared(
    half: Any, shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    shelf = tmp_path / "store" / "shop"
    (left,) = parts(shelf)
    assert (left / "train" / "labels.npy").exists()
    remove_abandoned(shelf)
    assert parts(shelf) == [left]  # its owner lives
    half.send_signal(signal.SIGKILL)
    half.wait()
    assert parts(shelf) == [left]
    store = prepare(parse_card(shop, "here"), tmp_path, shop_raw)
    assert [path.name for path in shelf.iterdir()] == [store.fingerprint]


def test_without_a_writer_age_decides(tmp_path: Path) -> None:
    for name in ("a", "b", "c.01234567-1-0.x"):  # the last is another machine's
        (tmp_path / f".{name}.part").mkdir()
    remove_abandoned(tmp_path)
    assert len(parts(tmp_path)) == 3
    old = time.time() - DAY - 60
    for path in tmp_path.rglob("*"):
        os.utime(path, (old, old))
    (tmp_path / ".b.part" / "codes").touch()  # somebody still writes
    remove_abandoned(tmp_path)
    assert [path.name for path in parts(tmp_path)] == [".b.part"]


def test_a_number_that_was_given_again_is_another_process(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as mine, atomic_path(tmp_path / "b") as file:
        host, pid, started = mine.name.split(".")[2].split("-")
        (tmp_path / f".a.{host}-{pid}-{int(started) + 100}.x.part").mkdir()
        (tmp_path / f".b.{host}-{pid}-{int(started) + 100}.x.part").touch()
        remove_abandoned(tmp_path)
        assert sorted(parts(tmp_path)) == sorted([mine, file])
