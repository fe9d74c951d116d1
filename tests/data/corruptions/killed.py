"""Prepares a data set again and again, killed each time at another moment; run as a program of its
own.

    python killed.py FOLDER TIMES [URL]

FOLDER is a `Work` in which one store is prepared and whose card asks for another. A moment is the
time just before a file or folder is opened, made, renamed or removed, or before bytes are written.
Each process is a fork of this one, so that modules are loaded once. Prints one JSON document: how
many were killed, and what was wrong.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from corruptions.work import Work, files, run, watched

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"}


def in_child(work):
    """Runs it in a fork; the exit code, or minus the signal that ended it."""
    if (pid := os.fork()) == 0:
        code = 99  # where it raises
        with contextlib.suppress(BaseException):
            code = work()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def prepare(work, moment):
    """Prepares until `moment` moments have passed; the moments that passed go to `moments.txt`."""
    passed = 0

    def step(size=0):
        nonlocal passed
        passed += 1
        if passed > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return size

    def audited(event, arguments):
        if event in EVENTS and str(arguments[0]).startswith(str(work.home)):
            step()

    sys.addaudithook(audited)
    with watched(work.home, step):
        code = run(work.prepare).code
    (work.folder / "moments.txt").write_text(str(passed))
    return code


def main(work, times):
    before = files(work.home / "store")
    # An undisturbed run: what is there after it, and how many moments it has.
    start = work.folder / "start"
    shutil.copytree(work.home, start)
    if (
        output := run(work.prepare)
    ).code != 0:  # in this process, so that compiled code is at hand in each fork
        raise RuntimeError(output.err)
    shutil.rmtree(work.home)
    shutil.copytree(start, work.home)
    in_child(lambda: prepare(work, float("inf")))
    moments = int((work.folder / "moments.txt").read_text())
    names = work.names()
    whole = files(work.home / "store")
    wanted = {name for name in whole if "manifest" not in name}
    killed, wrong = 0, []
    times = min(times, moments)
    for number in range(times):
        moment = moments * number // times
        shutil.rmtree(work.home)
        shutil.copytree(start, work.home)
        code = in_child(lambda moment=moment: prepare(work, moment))
        killed += code == -signal.SIGKILL
        after_kill = files(work.home / "store")
        if not before.items() <= after_kill.items():
            wrong.append(f"{moment}: the earlier store changed")
        if in_child(lambda: run(work.prepare).code) != 0:
            wrong.append(f"{moment}: cannot be prepared again")
        if extra := sorted(work.names() ^ names):
            wrong.append(f"{moment}: left behind or lacking: {extra}")
        again = files(work.home / "store")
        if any(again.get(name) != whole[name] for name in wanted):
            wrong.append(f"{moment}: another store")
    return {"moments": moments, "killed": killed, "wrong": wrong}


if __name__ == "__main__":
    folder, times, *url = sys.argv[1:]
    print(json.dumps(main(Work(Path(folder), url[0] if url else None), int(times))))
