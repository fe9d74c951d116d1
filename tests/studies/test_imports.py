"""Studies run by hand, so a name that they import may leave unseen."""

from importlib import import_module
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.parametrize("name", sorted(file.stem for file in STUDIES.glob("*.py")))
def test_a_study_finds_what_it_imports(name, monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import_module(name)
