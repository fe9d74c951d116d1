"""Trains what no row of the reference is there of, and keeps a row of each training at home.

python studies/train_reference.py reference [--part DATA/SHARING/BALANCING ..] [--only NAME] [--plugin FILE.py ..]
    [--raw DIR] [--workers N] [--home DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reference.execute import run_design

from bench.cli.output import TerminalProgress
from bench.core import plugins
from bench.core.errors import UserError
from bench.system.home import writable_home
from bench.system.interrupts import interrupted_once


def main() -> None:
    """Trains and says how many trainings there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help="with a design, as reference")
    parser.add_argument("--part", action="append", default=[], help="part of the design to train")
    parser.add_argument("--only", help="one balancer or way of sharing, in place of all others")
    parser.add_argument("--plugin", action="append", default=[], type=Path, help="Python file with entries of your own")
    parser.add_argument("--raw", type=Path, help="folder of raw files, or with a folder for each data set")
    parser.add_argument("--workers", type=int, default=0, help="trainings at once; 0 means one a core")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    try:
        plugins.add(*map(plugins.PluginFile.read, given.plugin))
        about = given.part, given.only, given.raw, given.workers, TerminalProgress()
        with interrupted_once():
            done = run_design(writable_home(given.home), given.suite, *about)
    except UserError as error:
        parser.error(str(error))
    print(f"{done.new:,} trainings, {done.there:,} more were there already, {done.failed:,} failed")
    print(f"next: python studies/publish.py {given.suite}")


if __name__ == "__main__":
    main()
