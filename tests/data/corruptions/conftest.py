"""Good data sets, prepared once; each test gets a copy of one to spoil."""

import shutil
from pathlib import Path

import pytest
from corruptions import goods
from corruptions.work import Work, run


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The folder of a good data set with its card, raw files and a home in which it is prepared."""
    made: dict[str, Path] = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            (folder / "raw").mkdir()
            (folder / "card.toml").write_text(goods.GOODS[name](folder / "raw"))
            said = run(Work(folder).prepare)
            assert said.code == 0, said.err
            made[name] = folder
        return made[name]

    return get


@pytest.fixture
def work_of(prepared, tmp_path, request):
    """A copy of a good data set, by name."""

    def get(name):
        work = Work(tmp_path / "work")
        if name == goods.REMOTE:
            work.server = request.getfixturevalue("server")
            work.folder.mkdir()
            work.card.write_text(goods.remote(work.server))
            goods.serve(work.server)
            said = run(work.prepare)
            assert said.code == 0, said.err
        else:
            shutil.copytree(prepared(name), work.folder)
        return work

    return get
