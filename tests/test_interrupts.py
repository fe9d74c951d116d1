from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

CODE = """
import os, signal
from bench.system.interrupts import interrupted_once

signal.signal(signal.SIGINT, signal.default_int_handler)
ctrl_c = lambda: os.kill(os.getpid(), signal.SIGINT)
try:
    with interrupted_once():
        ctrl_c()
        print("never")
except KeyboardInterrupt:
    ctrl_c()
    print("stopped")
ctrl_c()
"""


def test_the_first_ctrl_c_stops_and_later_ones_are_ignored() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "stopped\n"
    assert done.stderr == ""


def test_without_ctrl_c_the_handler_is_what_it_was() -> None:
    from bench.system.interrupts import interrupted_once

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interrupted_once():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
