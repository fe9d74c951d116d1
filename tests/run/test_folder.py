"""The files of a run's folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.run.folder import DatasetRun, Run


@pytest.mark.parametrize("text", ["[1]", '{"shop": 1}', "{"])
def test_files_of_a_wrong_shape_are_one_sentence_or_cost_a_link(tmp_path: Path, text: str) -> None:
    for name in ("mlflow.json", "store.json"):
        (tmp_path / name).write_text(text)
    manifest: Any = SimpleNamespace(
        request=SimpleNamespace(tracking="http://host"), parts={"shop": SimpleNamespace(folder="")}
    )
    run, dataset = Run(tmp_path, tmp_path, manifest), SimpleNamespace(id="shop")
    assert run.look_link == "http://host/#/experiments"
    with pytest.raises(UserError, match=r"store\.json: "):
        _ = DatasetRun(run, dataset).fingerprint  # type: ignore[arg-type]
