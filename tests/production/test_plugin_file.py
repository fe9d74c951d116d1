"""A package whose sharing comes from a plug-in file, under MLflow."""

import os

import pandas as pd
import pytest
from serving_toys import parts_of, raw_rows, trained

from bench.core import plugins
from bench.core.plugins import PLUGIN, PluginFile
from bench.production.package import write_package
from bench.tracking.registry import save_model

TWIN = """
from bench.models.config import HiddenConfig
from bench.models.sharing.shared_bottom import SharedBottom
from bench.core.registry import Entry

SHARING = {"twin": Entry(SharedBottom, HiddenConfig, "-", "a shared bottom of another name")}
"""


def test_the_variable_names_the_files_and_without_it_a_sentence_says_so(store, tmp_path, monkeypatch):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    mine, other = tmp_path / "mine.py", tmp_path / "other.py"
    mine.write_text(TWIN)
    other.write_text(TWIN.replace('"twin"', '"other"'))
    monkeypatch.setattr(plugins, "_FILES", {})
    plugins.add(PluginFile.read(mine))
    parts = parts_of(store, trained(store, **{"sharing.kind": "twin"}))
    package = write_package(parts, tmp_path / "package", onnx=False)
    save_model(package, tmp_path / "model")
    rows = raw_rows().slice(0, 20).to_pandas()
    expected = package.scorer().predict(rows)
    lacking = "expected sharing.twin of the plug-in mine.py .*, found none"
    for named, sentence in (
        ("", f"{lacking}; name it with .* SEESAW_PLUGIN"),
        (str(other), lacking),
        ("nowhere.py", "^SEESAW_PLUGIN nowhere.py: expected a file of Python: No such file"),
    ):
        monkeypatch.setattr(plugins, "_FILES", {})  # as in a process that knows no plug-in file yet
        monkeypatch.setenv(PLUGIN, named)
        with pytest.raises(MlflowException, match=sentence):
            mlflow.pyfunc.load_model(str(tmp_path / "model"))
    monkeypatch.setattr(plugins, "_FILES", {})
    monkeypatch.setenv(PLUGIN, os.pathsep.join([str(mine), str(other)]))
    found = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(rows)
    pd.testing.assert_frame_equal(found, expected)
