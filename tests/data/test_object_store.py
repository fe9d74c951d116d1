"""Files in object stores: here a folder that answers as one, and breaks off where it is told to."""

import gzip

import numpy as np
import pandas as pd
import pytest
from data_toys import arrays
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from test_folders import CUT, asked_of, card_of, lake, log_of, parted, write  # noqa: F401

from bench.core.errors import UserError
from bench.core.system import object_store
from bench.core.system.data_files import files_at, folder_of_card, names_below
from bench.core.system.object_store import StorePath, located
from bench.core.system.progress import Silent
from bench.data import prepare
from bench.data.inspection.draft import CardRequest, draft_card
from bench.deciding.logged.logged_rows import read as read_log

REFUSED = "AWS Error NETWORK_CONNECTION during GetObject of http://key:secret@host"


class Store:
    """A folder as a store, which refuses the requests whose numbers are told."""

    def __init__(self, folder, refused=()):
        self.files = SubTreeFileSystem(str(folder), LocalFileSystem())
        self.refused, self.asked = refused, 0

    def answer(self, question, *arguments):
        self.asked += 1
        if self.asked in self.refused:
            raise OSError(REFUSED)
        return question(*arguments)

    def get_file_info(self, path):
        return self.answer(self.files.get_file_info, path)

    def open_input_file(self, path):
        return Opened(self.answer(self.files.open_input_file, path), self)


class Opened:
    """An object of a store; each read is a request."""

    def __init__(self, file, store):
        self.file, self.store = file, store

    def read_at(self, count, place):
        return self.store.answer(self.file.read_at, count, place)


@pytest.fixture
def store(lake, monkeypatch):  # noqa: F811
    made = Store(lake)
    monkeypatch.setattr(object_store, "store_of", lambda root: (made, ""))
    return made


@pytest.mark.parametrize("split", [CUT["base"], CUT], ids=["split", "cut"])
@pytest.mark.parametrize(
    ("folder", "name"), [("s3://lake", "log"), ("gs://lake/log/", "day=*/part-*.parquet")]
)
def test_a_log_in_a_store_makes_the_store_of_one_file(lake, store, folder, name, split):  # noqa: F811
    one = prepare(card_of("one.parquet", split=split), lake / "home", lake)
    there = prepare(card_of(name, split=split, folder=folder), lake / "home")
    assert arrays(there) == arrays(one)
    asked = store.asked
    again = prepare(card_of(name, split=split), lake / "home", located(folder))
    assert again.path == there.path
    assert store.asked - asked < asked / 2  # what files hold is remembered


def test_text_files_and_a_draft_and_a_log_of_decide(lake, store):  # noqa: F811
    parted(lake / "text", log_of(), ".csv.gz")
    options = {"labels": ["click", "buy"], "time": "day", "id": "shop"}
    drafts = [
        draft_card(CardRequest(files=(address,), **options), Silent())
        for address in (lake / "one.parquet", "s3://lake/text", "s3://lake/log/day=*/*")
    ]
    assert drafts[0].split.table == drafts[1].split.table == drafts[2].split.table
    assert drafts[0].columns == drafts[2].columns
    one, parquet, text = [
        read_log(asked_of(log, time="day", units="user"), Silent())
        for log in (lake / "one.parquet", "s3://lake/log", "s3://lake/text/*/*")
    ]
    for name, numbers in one.numbers.items():
        np.testing.assert_array_equal(parquet.numbers[name], numbers)
        np.testing.assert_array_equal(text.numbers[name], numbers)
    assert text.place(21).endswith("line 3 of s3://lake/text/day=2026-11-01/part-1.csv.gz")


def test_paths_of_a_store(lake, store, tmp_path):  # noqa: F811
    (file,) = files_at(located("s3:/lake/log/day=2026-11-03/part-1.*"))  # as `Path` writes it
    assert isinstance(file, StorePath)
    assert str(file) == "s3://lake/log/day=2026-11-03/part-1.parquet"
    assert file.stat().st_size == (lake / "log/day=2026-11-03/part-1.parquet").stat().st_size
    folder, names = names_below([file.parent, file])
    assert (str(folder), names) == (
        "s3://lake/log",
        ["day=2026-11-03", "day=2026-11-03/part-1.parquet"],
    )
    assert folder_of_card(folder, tmp_path / "card.toml") == "s3://lake/log"
    with pytest.raises(UserError, match="expected addresses of one place"):
        names_below([file, lake / "one.parquet"])
    with pytest.raises(UserError, match="file not found: s3://lake/none"):
        files_at(located("s3://lake/none"))
    with file.open("rb") as bytes_of_file:
        content = bytes_of_file.read()
        assert bytes_of_file.seek(-4, 2) == len(content) - 4
        assert (bytes_of_file.read(9), bytes_of_file.read(9)) == (b"PAR1", b"")
    assert content == (lake / "log/day=2026-11-03/part-1.parquet").read_bytes()


@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@lake/log",
        "s3://secret@lake/log",
        "s3://lake/log?secret_key=secret",
        "gs://lake/log#secret",
        "abfs://name:secret@account.dfs.core.windows.net/log",
        "abfs://lake/log;secret",
        "hdfs://host:secret/log",
    ],
)
def test_an_address_holds_no_secret(address, tmp_path):
    def raw_folder():
        prepare(card_of("log"), tmp_path, located(address))

    for read in (
        raw_folder,
        lambda: files_at(located(address)),
        lambda: card_of("log", folder=address),
        lambda: read_log(asked_of(address), Silent()),
    ):
        with pytest.raises(UserError, match="expected an address such as") as caught:
            read()
        assert "secret@" not in str(caught.value)
        assert "=secret" not in str(caught.value)
        assert address not in str(caught.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("refused", [{1, 2}, {7}, {200, 300, 301, 900}])
def test_a_broken_connection_is_tried_again(refused, lake, store):  # noqa: F811
    one = prepare(card_of("one.parquet"), lake / "home", lake)
    store.refused = refused
    there = prepare(card_of("log"), lake / "home", located("s3://lake"))
    assert store.asked > max(refused)
    assert arrays(there) == arrays(one)


@pytest.mark.parametrize("first", [1, 10, 400, 900])
def test_and_ends_in_one_sentence_where_it_stays_broken(first, lake, store):  # noqa: F811
    store.refused = range(first, 10**9)
    with pytest.raises(UserError) as caught:
        prepare(card_of("log"), lake / "home", located("s3://lake"))
    assert str(caught.value).startswith("s3://lake")
    assert str(caught.value).endswith(": cannot be had: NETWORK_CONNECTION")
    left = [path for path in lake.glob("home/**/*") if path.is_file()]
    assert [path.name for path in left if path.name != "digests.json"] == []


def test_a_packed_text_that_breaks_off_is_no_broken_archive(tmp_path, store):
    frame = pd.DataFrame({"click": [0, 1] * 3000, "x": np.arange(6000) % 7})
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    request = CardRequest(files=("s3://lake/a.csv.gz",), labels=["click"])
    draft_card(request, Silent())
    for first in range(2, store.asked, 3):
        store.asked, store.refused = 0, range(first, 10**9)
        with pytest.raises(UserError, match=r"a\.csv\.gz: cannot be had: NETWORK_CONNECTION"):
            draft_card(request, Silent())
