"""Studies run by hand, so a name that they import may leave unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.slow
def test_every_study_finds_what_it_imports():
    names = sorted(file.stem for file in STUDIES.glob("*.py"))
    code = f"import sys; sys.path[0] = {str(STUDIES)!r}\nimport {', '.join(names)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
