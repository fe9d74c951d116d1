"""The command `seesaw`."""

from __future__ import annotations

import os
import sys
import traceback

from bench.errors import UserError
from bench.full_disk import no_room
from bench.machine import set_waiting


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 our bug, 2 the user's mistake, 130 interrupted."""
    import typer

    set_waiting()
    from bench.cli.app import app

    try:
        code = app(args=arguments, prog_name="seesaw", standalone_mode=False)
        if code:  # an interrupt is turned into its exit code on the way
            print("seesaw: interrupted", file=sys.stderr)
            return int(code)
    except UserError as error:
        return _complain(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("seesaw: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has left: nothing more to say, and nothing to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        told = no_room(error, error.filename or "a file")
        return _bug() if told is None else _complain(str(told))
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error: unknown option, missing argument
            return _complain(error.format_message())
        return _bug()
    return 0


def _bug() -> int:
    traceback.print_exc()
    print("seesaw: this is a bug in seesaw, not your mistake", file=sys.stderr)
    return 1


def _complain(text: str) -> int:
    print(f"seesaw: {text}", file=sys.stderr)
    return 2
