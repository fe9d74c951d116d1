"""A package whose sharing comes from a plug-in file, under MLflow."""

import os

import pandas as pd
import pytest
from serving_toys import parts_of, raw_rows, trained

from bench.core import plugins
from bench.core.plugins import PLUGIN, PluginFile
from bench.production.package import Package, write_package
from bench.tracking.registry import save_model

TWIN = """
from bench.models.config import HiddenConfig
from bench.models.sharing.shared_bottom import SharedBottom
from bench.core.registry import Entry

SHARING = {"twin": Entry(SharedBottom, HiddenConfig, "-", "a shared bottom of another name")}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The plug-in that the model needs, and another one."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "mine.py").write_text(TWIN)
    (folder / "other.py").write_text(TWIN.replace('"twin"', '"other"'))
    return [folder / "mine.py", folder / "other.py"]


@pytest.fixture
def elsewhere(monkeypatch):
    """A process that knows no plug-in file yet."""
    monkeypatch.setattr(plugins, "_FILES", {})
    return monkeypatch


@pytest.fixture(scope="module")
def made(store, files, tmp_path_factory):
    """The model of MLflow, and what it predicts for 20 rows."""
    folder = tmp_path_factory.mktemp("twin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "_FILES", {})
        plugins.add(PluginFile.read(files[0]))
        parts = parts_of(store, trained(store, **{"sharing.kind": "twin"}))
        package: Package = write_package(parts, folder / "package", onnx=False)
        save_model(package, folder / "model")
        return folder / "model", package.scorer().predict(rows())


def rows():
    return raw_rows().slice(0, 20).to_pandas()


def test_the_variable_names_the_files(made, files, elsewhere):
    import mlflow.pyfunc

    elsewhere.setenv(PLUGIN, os.pathsep.join(map(str, files)))
    found = mlflow.pyfunc.load_model(str(made[0])).predict(rows())
    pd.testing.assert_frame_equal(found, made[1])


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("", r"expected sharing.twin of the plug-in mine.py .*, found none; name it with .* SEESAW_PLUGIN"),
        ("{other}", r"expected sharing.twin of the plug-in mine.py .*, found none"),
        ("nowhere.py", "^SEESAW_PLUGIN nowhere.py: expected a file of Python: No such file"),
    ],
)
def test_without_it_a_sentence_says_so(made, files, elsewhere, named, sentence):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    elsewhere.setenv(PLUGIN, named.format(other=files[1]))
    with pytest.raises(MlflowException, match=sentence):
        mlflow.pyfunc.load_model(str(made[0]))
