"""A search on disk: its log, whole to the last byte, and the trials that are read from it."""

import errno
import json
import math
import os
import random
import struct

import pytest
from rung_toys import FULL, rung_plan
from rung_toys import train as train_by_rungs
from search_toys import (
    ShuffledExecutor,
    essence,
    ignore,
    job_of,
    make_job,
    toy_plan,
    toy_space,
    train,
)

from bench.core.errors import UserError
from bench.core.records import Failure, Outcome, TrialResult
from bench.core.rows import REPLICATED
from bench.search.confirm.race import confirm
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.log import AT_LENGTH, FILE, Log
from bench.search.study import Study


def test_a_trial_goes_from_running_to_completed(tmp_path):
    plan = toy_plan()
    with Study.open(tmp_path, plan) as study:
        number, config = study.ask(plan, {})
        assert (study.running(), study.record(0).state) == ({0: config}, "running")
        job = job_of(number, 0, config, ("valid",))
        study.finish(number, Outcome(job, train(job), None, 1000.0, 2.5))
        assert (study.told, len(study.finished), study.running()) == (0, 1, {})
        record = study.tell(number)
    result = train(job)
    assert (record.state, record.architecture) == ("completed", config["sharing.kind"])
    assert (record.metrics, record.speed, record.curve) == (
        result.metrics,
        result.speed,
        result.curve,
    )
    assert (record.config, record.started, record.seconds) == (result.config, 1000.0, 2.5)
    assert record.params == {key: value for key, value in config.items() if key != "optim.epochs"}


@pytest.mark.parametrize(
    ("metrics", "kind", "reason"),
    [
        (
            {"valid/click.auc": 0.5, "valid/like.auc": math.nan},
            "diverged",
            "finite value of valid/like.auc, found nan",
        ),
        ({"valid/click.auc": 0.5}, "bug", "expected a value of valid/like.auc, found none"),
    ],
)
def test_a_result_without_its_objectives_is_a_failure(tmp_path, metrics, kind, reason):
    plan = toy_plan()
    with Study.open(tmp_path, plan) as study:
        number, config = study.ask(plan, {})
        study.finish(
            number,
            Outcome(job_of(number, 0, config, ("valid",)), TrialResult(metrics, {}, [], config)),
        )
        record = study.tell(number)
    assert record.state == "failed"
    assert record.failure.kind == kind
    assert reason in record.failure.reason
    assert record.metrics.keys() == metrics.keys()  # kept, to see what happened


def test_a_second_driver_is_refused(tmp_path):
    plan = toy_plan()
    with Study.open(tmp_path, plan), pytest.raises(UserError, match="found one at work"):
        Study.open(tmp_path, plan)
    Study.open(tmp_path, plan).close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "expected seed = 7, with which this run began, found 8"),
        ({"space": toy_space().restricted({"optim.lr": 0.1})}, "expected space = "),
        ({"eta": (3.0,)}, r"expected eta = \[4\.0\], .* found \[3\.0\]"),
        ({"ladder": ()}, "expected ladder = .* found None"),
    ],
)
def test_a_run_cannot_become_another(tmp_path, change, message):
    Study.open(tmp_path, rung_plan()).close()
    with pytest.raises(UserError, match=message):
        Study.open(tmp_path, rung_plan(**change))
    Study.open(
        tmp_path, rung_plan(budget=10**6, trials=99)
    ).close()  # no lock is left; limits may move


def test_replicates_join_their_trial(tmp_path):
    plan = toy_plan(trials=3)
    with Study.open(tmp_path, plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        before = essence(study.records())
        for replicate in (2, 1):
            job = job_of(1, replicate, study.record(1).config, REPLICATED)
            failure = Failure("diverged", "nan") if replicate == 2 else None
            study.add_replicate(Outcome(job, None if failure else train(job), failure))
        records = Study.read(tmp_path).records()
    assert [replicate.replicate for replicate in records[1].replicates] == [1, 2]
    assert records[1].replicates[0].seed == job_of(1, 1, {}, ()).seed
    assert set(records[1].replicates[0].metrics) == {
        f"{s}/{t}.auc" for s in REPLICATED for t in ("click", "like")
    }
    assert records[1].replicates[1].failure == Failure("diverged", "nan")
    joined = essence(records)
    joined[1]["replicates"] = []
    assert joined == before


SAID = r"study\.jsonl: line {} is damaged, or lines before it are missing: its checksum does not fit; put"


def written(folder, *events):
    log = Log(folder, write=True)
    for event in ({"event": "begun"}, *events):
        log.append(event)
    return (folder / FILE).read_bytes()


def read(folder):
    return [plain(event) for event in Log(folder).take()]


def plain(event):
    return {key: value() if key == AT_LENGTH else value for key, value in event.items()}


def test_what_is_appended_is_read_to_the_last_bit(tmp_path):
    draw = random.Random(0)
    doubles = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(5000)] + [
        5e-324,
        -0.0,
        1e22,
        math.inf,
    ]
    event = {
        "event": "x",
        "name": 'a ,"at length":{ b \u2192 \n',
        "values": [double for double in doubles if double == double],
    }
    log = Log(tmp_path, write=True)
    log.append({"event": "begun"})
    appended = log.append(event | {AT_LENGTH: {"curve": [event]}})
    assert plain(appended) == read(tmp_path)[1] == event | {AT_LENGTH: {"curve": [event]}}
    assert str(plain(appended)["values"]) == str(event["values"])  # the sign of zero, too
    # plain JSON, a checksum first
    line = json.loads((tmp_path / FILE).read_bytes().splitlines()[1])
    assert list(line) == ["crc32", *plain(appended)]
    assert line.items() >= plain(appended).items()


def test_cut_anywhere_the_file_holds_whole_events_and_is_gone_on_with(tmp_path):
    text = written(tmp_path, {"event": "a", AT_LENGTH: {"long": [1.5] * 3}}, {"event": "b"})
    whole = read(tmp_path)
    for end in range(text.index(b"\n") + 1, len(text) + 1):
        (tmp_path / FILE).write_bytes(text[:end])
        lines = text[:end].count(b"\n")
        assert read(tmp_path) == whole[:lines]
        assert (tmp_path / FILE).read_bytes() == text[:end]  # a reader changes nothing
        log = Log(tmp_path, write=True)
        log.append({"event": "c"})
        assert read(tmp_path) == [*whole[:lines], {"event": "c"}]


def test_any_changed_byte_of_any_line_is_found(tmp_path):
    text = written(tmp_path, {"event": "a", AT_LENGTH: {"long": [1.5]}}, {"event": "b"})
    whole = read(tmp_path)
    last = text.index(b"\n", text.index(b"\n") + 1) + 1
    for position in range(len(text)):
        (tmp_path / FILE).write_bytes(
            text[:position] + bytes([text[position] ^ 1]) + text[position + 1 :]
        )
        if position >= last:
            assert read(tmp_path) == whole[:2]  # as torn
        elif position == last - 1:
            assert read(tmp_path) == whole[:1]  # one torn line
        else:
            with pytest.raises(
                UserError, match=r"is damaged, or lines before it|expected the log of a search"
            ):
                read(tmp_path)


def test_what_the_disk_does_not_take_leaves_no_part_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    log = Log(tmp_path, write=True)
    log.append({"event": "begun"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            UserError, match=r"/study\.jsonl: cannot be written: No space left on device"
        ):
            log.append({"event": "a"})
    log.append({"event": "b"})
    assert read(tmp_path) == [{"event": "begun"}, {"event": "b"}]


def whole(folder, plan, slots=1):
    """A search to its end, and the confirmation of two trials."""
    with Study.open(folder, plan) as study:
        search(
            plan,
            study,
            ShuffledExecutor(train_by_rungs, slots, 0),
            make_job,
            ignore,
            clock=lambda: 0.0,
        )
        study.conclude()
        points = [record.points[-1] for record in study.records() if record.points][:2]
        confirm(study, InlineExecutor(train_by_rungs), make_job, points, 1, ignore)
        return essence(study.records())


def test_a_folder_that_was_moved_gets_no_half_of_a_log(tmp_path):
    folder = tmp_path / "run"
    written(folder, {"event": "a"})
    log = Log(folder, write=True)
    folder.rename(tmp_path / "moved")
    folder.mkdir()  # as a worker does that keeps its predictions
    with pytest.raises(UserError, match=r"run/study\.jsonl: cannot be written: No such file"):
        log.append({"event": "b"})
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_search_cut_at_any_byte_of_its_last_lines_ends_as_the_undisturbed_one(tmp_path):
    """Wherever in a line it is cut, a driver finds the whole lines before; from each of these it
    goes on to the end.
    """
    plan = rung_plan(budget=2 * FULL, seconds=3600.0)
    expected = whole(tmp_path, plan)
    text = (tmp_path / FILE).read_bytes()
    lines = text.splitlines(keepends=True)
    events = [json.loads(line)["event"] for line in lines]
    begin = len(lines) - 9
    assert {*events[begin:]} == {"asked", "outcome", "told", "rest", "concluded", "replicate"}
    for count in range(begin, len(lines)):
        before = b"".join(lines[:count])
        for torn in range(len(lines[count])):
            (tmp_path / FILE).write_bytes(before + lines[count][:torn])
            Study.open(tmp_path, plan).close()
            assert (tmp_path / FILE).read_bytes() == before
        assert whole(tmp_path, plan) == expected
        continued = (tmp_path / FILE).read_bytes()
        assert continued.startswith(before)
        again = [json.loads(line)["event"] for line in continued.splitlines()]
        assert [event for event in again if event != "rest"] == [
            event for event in events if event != "rest"
        ]


@pytest.mark.parametrize("event", ["outcome", "told", "asked", "replicate"])
@pytest.mark.parametrize("times", [0, 2], ids=["missing", "twice"])
def test_a_line_that_is_missing_or_there_twice_is_damage(tmp_path, event, times):
    """A replicate that counted as two would make the intervals too narrow."""
    plan = rung_plan(budget=FULL)
    whole(tmp_path, plan)
    with Study.open(tmp_path, plan) as study:
        study.rest(0.0, False)
        study.end_confirmation()
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if json.loads(line)["event"] == event)
    (tmp_path / FILE).write_bytes(
        b"".join(lines[:place] + lines[place : place + 1] * times + lines[place + 1 :])
    )
    for again in (Study.read, lambda folder: Study.open(folder, plan)):
        with pytest.raises(UserError, match=SAID.format(place + (1 if times == 0 else 2))):
            again(tmp_path)
