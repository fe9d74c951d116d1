"""The command `seesaw`."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from itertools import islice
from pathlib import Path

from bench.core.errors import TrainingError, UserError, shortened
from bench.core.system.atomic import no_room, refused
from bench.core.system.machine import set_waiting


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 our bug, 2 the user's mistake, 130
    interrupted.

    A training that failed is 2 as well; a rule of `seesaw evaluate --fail-if` that failed is 1.
    """
    import typer

    _open_streams()
    set_waiting()
    from bench.app.cli.app import app

    try:
        words = sys.argv[1:] if arguments is None else arguments
        code = app(args=_plugins_first(words), prog_name="seesaw", standalone_mode=False)
        if code == 130:  # an interrupt is turned into its exit code on the way
            print("seesaw: interrupted", file=sys.stderr)
        return int(code or 0)
    except (TrainingError, UserError) as error:
        return _complain(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("seesaw: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Nobody reads our output any more, as after `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            name = shortened(repr(str(error.filename)))
            return _complain(f"expected a name that a file can have, found {name}")
        mistake = no_room(error, error.filename or "standard output") or refused(error)
        return _bug() if mistake is None else _complain(str(mistake))
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error: unknown option, missing argument
            return _complain(error.format_message())
        return _bug()


def _open_streams() -> None:
    """Opens standard streams that the caller closed as /dev/null: else the next file would take the
    place of one.
    """
    descriptor = -1
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115 (until the end)


def _plugins_first(arguments: list[str]) -> list[str]:
    """With `--plugin FILE` before the command: it is an option of all of them, and people type it
    last.
    """
    plugins, rest = list[str](), list[str]()
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--plugin":
            plugins += [word, *islice(words, 1)]
        elif word.startswith("--plugin="):
            plugins.append(word)
        else:
            rest.append(word)
    return plugins + rest


def _bug() -> int:
    from bench.core.plugins import files

    traceback.print_exc()
    suspects = ["seesaw"]
    suspects += [f"the plug-in {Path(file.path).name}" for file in files()]
    print(f"seesaw: this is a bug in {' or '.join(suspects)}, not your mistake", file=sys.stderr)
    return 1


def _complain(text: str) -> int:
    from bench.app.cli.output import TerminalProgress

    TerminalProgress().note(f"seesaw: {text}")
    return 2
