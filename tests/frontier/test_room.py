"""The room as a whole: its example runs, and it needs no heavy library."""

import doctest
import subprocess
import sys

import bench.frontier


def test_the_example_runs():
    result = doctest.testmod(bench.frontier)
    assert result.attempted > 5
    assert result.failed == 0


def test_imports_no_torch_optuna_or_mlflow():
    code = (
        "import sys, pkgutil, importlib, bench.frontier as room\n"
        "[importlib.import_module(f'bench.frontier.{m.name}') for m in pkgutil.iter_modules(room.__path__)]\n"
        "print([name for name in ('torch', 'optuna', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
