from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

CODE = """
import os, signal
from bench.interrupts import interrupted_once, uninterrupted

signal.signal(signal.SIGINT, signal.default_int_handler)
ctrl_c = lambda: os.kill(os.getpid(), signal.SIGINT)
try:
    with interrupted_once():
        with uninterrupted(), uninterrupted():
            ctrl_c()
            print("whole")
        print("never")
except KeyboardInterrupt:
    ctrl_c()
    print("stopped")
ctrl_c()
"""


def test_ctrl_c_waits_for_the_end_of_a_block_and_counts_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "whole\nstopped\n"
    assert done.stderr == ""


def test_without_ctrl_c_the_handler_is_what_it_was() -> None:
    from bench.interrupts import interrupted_once, uninterrupted

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interrupted_once():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            with uninterrupted():
                pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
