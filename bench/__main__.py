"""`python -m bench` is the command `seesaw`."""

import sys

from bench.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
