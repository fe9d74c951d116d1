"""Files of earlier versions give what they gave when they were written; files of a later version
are refused.
"""

import json
import shutil

import pyarrow.parquet as pq
import pytest
from make_formats import FOLDERS, said
from test_golden import apart

import bench
from bench.app.cli import main
from bench.app.reference.table import read
from bench.core.errors import UserError
from bench.core.formats import FORMATS, LEDGER, PACKAGE, RUN, TABLE
from bench.serve.package import Package

VERSIONS = sorted(path.name for path in FOLDERS.iterdir())
PLACES = {
    RUN: "runs/first/run.json",
    LEDGER: "runs/first/first/cells.parquet",
    PACKAGE: "runs/first/first/package/manifest.json",
    TABLE: "table.parquet",
}
"""Of the files with a number."""


@pytest.fixture
def folder(tmp_path):
    def copied(version):
        return shutil.copytree(FOLDERS / version, tmp_path / version)

    return copied


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_s_files_are_read_as_it_read_them(folder, version):
    was = json.loads((FOLDERS / version / "said.json").read_text())
    assert list(apart(was, json.loads(json.dumps(said(folder(version)))))) == []


def test_a_format_whose_number_rises_has_files_of_the_earlier_one():
    assert "0.1.0" in VERSIONS
    # of another number: keep a folder of the last version here, too
    assert dict.fromkeys(FORMATS, 1) == FORMATS


def number(file, to):
    """Gives a file another number."""
    if file.suffix == ".json":
        values = json.loads(file.read_text())
        assert values["format"] == 1
        file.write_text(json.dumps(values | {"format": to}))
        return
    table = pq.read_table(file)
    assert table.schema.metadata[b"seesaw.format"] == b"1"
    pq.write_table(table.replace_schema_metadata({b"seesaw.format": str(to).encode()}), file)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("to", "newer"), [(7, True), (0, False), ("x", False)])
def test_a_newer_format_is_refused_in_a_sentence_with_both_numbers(folder, kind, to, newer):
    made = folder(VERSIONS[-1])
    file = made / PLACES[kind]
    number(file, to)
    opened = {RUN: bench.load_run, LEDGER: bench.read_cells, PACKAGE: Package.open, TABLE: read}[
        kind
    ]
    given = file.parent if file.suffix == ".json" else file
    with pytest.raises(UserError) as refused:
        opened(given)
    said = f"{file}: expected a {kind} of format 1 or older, found format {to}"
    assert str(refused.value) == said + "; a later version of Seesaw wrote it, and reads it" * newer


def test_a_command_says_it_too(folder, capsys):
    made = folder(VERSIONS[-1])
    number(made / PLACES[RUN], 2)
    assert main(["show", str(made / "runs" / "first")]) == 2
    assert (
        "of format 1 or older, found format 2; a later version of Seesaw wrote it"
        in capsys.readouterr().err
    )


def test_a_file_that_is_no_parquet_is_told(tmp_path):
    (tmp_path / "cells.parquet").write_text("no table")
    for file, found in (
        ("cells.parquet", "Parquet magic bytes"),
        ("none.parquet", "found no file"),
    ):
        with pytest.raises(UserError, match=found):
            bench.read_cells(tmp_path / file)
