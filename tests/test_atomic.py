import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench.core.system import atomic
from bench.core.system import mapped as module
from bench.core.system.atomic import (
    Unwritable,
    atomic_folder,
    scratch_folder,
    this_process,
    write_text,
)
from bench.core.system.mapped import mapped


def replaced(target):
    with atomic_folder(target) as folder:
        (folder / "new").touch()


@pytest.fixture
def target(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "old").touch()
    return tmp_path / "package"


def test_what_a_killed_process_left_goes_when_the_same_is_written_again(target):
    gone = (
        f"{this_process().partition('-')[0]}-{os.getpid()}-1"  # that number began at another time
    )
    for name in (
        f".package.{gone}.a.part",
        f".text.{gone}.b.part",
        f".text.{this_process()}.c.part",
        ".text.d.part",
    ):
        (target.parent / name).touch()
    replaced(target)
    write_text(target.parent / "text", "")
    remaining = sorted(path.name for path in target.parent.iterdir())
    assert remaining == [f".text.{this_process()}.c.part", ".text.d.part", "package", "text"]


def test_a_folder_that_a_killed_process_moved_away_is_put_back(target):
    gone = f"{this_process().partition('-')[0]}-{os.getpid()}-1"
    retired = target.parent / f".package.{gone}.a.part"
    retired.mkdir()
    target.rename(retired / "was")
    with pytest.raises(ZeroDivisionError), atomic_folder(target):
        raise ZeroDivisionError
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced_whole(target, exchanges, monkeypatch):
    """On Linux in one step, so that a kill loses neither folder."""
    renamed = list[object]()
    monkeypatch.setattr(
        os, "replace", lambda *arguments, to=os.replace: renamed.append(to(*arguments))
    )
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchanged", lambda first, second: False)
    replaced(target)
    assert len(renamed) == (0 if exchanges and sys.platform == "linux" else 2)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("there", [True, False])
def test_all_is_on_disk_before_it_is_renamed(target, there, monkeypatch):
    done, names = list[object](), {"replace": os.replace, "exchange": atomic._exchanged}
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.fstat(file).st_ino))
    monkeypatch.setattr(
        os, "replace", lambda *arguments: (done.append("renamed"), names["replace"](*arguments))
    )
    monkeypatch.setattr(
        atomic,
        "_exchanged",
        lambda *arguments: (done.append("renamed"), names["exchange"](*arguments))[1],
    )
    place = target if there else target.parent / "new"
    with atomic_folder(place) as folder:
        (folder / "in").mkdir()
        (folder / "in" / "file").touch()
        (folder / "link").symlink_to(target.parent / "nowhere")
        written = {path.stat().st_ino for path in (folder, folder / "in", folder / "in" / "file")}
    assert set(done[: done.index("renamed")]) == written
    assert done[-1] == target.parent.stat().st_ino
    done.clear()
    write_text(target.parent / "text", "")
    assert done == [(target.parent / "text").stat().st_ino, "renamed", target.parent.stat().st_ino]


def test_an_error_leaves_the_old_folder(target):
    with pytest.raises(ZeroDivisionError), atomic_folder(target):
        raise ZeroDivisionError
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nothing can be made")
def test_where_no_file_can_be_made_is_one_sentence():
    sentence = r"^/proc/x: cannot be written: No such file or directory$"
    if os.geteuid():
        sentence = r"^/proc(/x)?: cannot be written: "
    with pytest.raises(Unwritable, match=sentence):
        write_text(Path("/proc/x"), "")
    with pytest.raises(Unwritable, match=sentence), atomic_folder(Path("/proc/x")):
        pass
    with pytest.raises(Unwritable, match=sentence), scratch_folder(Path("/proc/x")):
        pass


def test_one_thread_at_a_time_reads_a_header(tmp_path, monkeypatch):
    """The threads of Python 3.11 share a counter of the parser: with two at a time a run has ended
    in a SystemError.
    """
    np.save(tmp_path / "array.npy", np.arange(6).reshape(3, 2))
    inside, load = [], np.load

    def slow(*arguments, **options):
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.01)
        inside.pop()
        return load(*arguments, **options)

    monkeypatch.setattr(module.np, "load", slow)
    with ThreadPoolExecutor(4) as pool:
        for array in pool.map(mapped, [tmp_path / "array.npy"] * 8):
            np.testing.assert_array_equal(array, [[0, 1], [2, 3], [4, 5]])


def test_a_file_of_objects_is_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        mapped(tmp_path / "objects.npy")
