"""The log of a search, `study.jsonl` with one JSON event a line, and the conversion of events to
records.

Each line is flushed to disk. The log is the only source of truth; everything else about a search is
derived from it. An event is whole or absent: readers ignore a torn last line, and a driver removes
it. A line starts with the checksum (CRC-32) of its rest, chained from the previous line, so that
missing lines are detected, too.
"""

from __future__ import annotations

import base64
import gc
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from pydantic_core import from_json

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import (
    OURS,
    TRAINED,
    TRAINER,
    Failure,
    Outcome,
    Point,
    Replicate,
    RungResult,
    Scalar,
    TrialRecord,
    TrialStatus,
    training_of,
)
from bench.core.rows import SEARCH, TEST
from bench.core.system.atomic import Unwritable, room_for, write_text
from bench.ledger.points import TWIN, kind_of
from bench.models.model_options import UNTIED, architecture_name

FILE = "study.jsonl"
AT_LENGTH = "at length"
"""Last key of an event, for rarely needed values; a read event has a function there that decodes
them.
"""
_HEAD = '{"crc32":"%08x",'
_BODY = len(_HEAD % 0)
_MARK = f',"{AT_LENGTH}":'.encode()  # unique: names of options and metrics have no spaces

Event = dict[str, Any]


class Log:
    """The log, for one writer, which must hold the folder's lock, and any number of readers.

    Args:
        folder: of the search; the first event creates the file.
        write: whether this is the writer, which removes a torn line.

    Raises:
        UserError: the file is damaged elsewhere than at its end, or is no log of a search.
    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        self.path = folder / FILE
        text = self.path.read_bytes() if self.path.is_file() else b""
        *lines, _torn = text.split(b"\n")
        if text and (not text.startswith(_HEAD.partition("%")[0].encode()) or not lines):
            raise UserError(
                f"{self.path}: expected the log of a search by this version, found another file"
            )
        self._bodies: list[bytes] = []
        self._size, self._sum = 0, 0
        for number, line in enumerate(lines, start=1):
            body = line[_BODY:]
            checksum = crc32(body, self._sum)
            if line[:_BODY] != (_HEAD % checksum).encode():
                if 1 < number == len(lines):
                    break  # only the last line may be torn
                raise UserError(
                    f"{self.path}: line {number} is damaged, or lines before it are missing: its "
                    f"checksum does not fit; put back a copy of the file, or cut off line {number} "
                    "and all after it, and `seesaw run RUN` goes on from there"
                )
            self._bodies.append(body)
            self._size += len(line) + 1
            self._sum = checksum
        if write and self._size < len(text):
            os.truncate(self.path, self._size)

    def take(self) -> Iterator[Event]:
        """Yields the file's events in order, once: it releases them."""
        yield from map(_parse, self._bodies)
        self._bodies = []

    def append(self, event: Event) -> Event:
        """Writes an event to disk; returns it as a reader would decode it."""
        body = json.dumps(event, separators=(",", ":"))[1:].encode()
        checksum = crc32(body, self._sum)
        line = (_HEAD % checksum).encode() + body + b"\n"
        if self._size:
            self._add(line)
        else:  # atomic, so that a file is never without a whole first line
            write_text(self.path, line.decode())
        self._size += len(line)
        self._sum = checksum
        return _parse(body)

    def _add(self, line: bytes) -> None:
        with room_for(self.path), self._opened() as file:
            try:
                file.seek(self._size)
                unwritten = memoryview(line)
                while unwritten:
                    unwritten = unwritten[file.write(unwritten) :]
                os.fsync(file.fileno())
            except BaseException:
                # The first error is reported; the next driver removes the rest.
                with suppress(OSError):
                    file.truncate(self._size)
                raise

    def _opened(self) -> FileIO:
        try:
            return self.path.open("r+b", buffering=0)
        except FileNotFoundError as error:
            # The folder was moved: creating the file would start half a log.
            raise Unwritable(self.path, error.errno) from None


@contextmanager
def many_objects() -> Iterator[None]:
    """Disables garbage collection for code that makes many objects and no garbage: its scans would
    take most time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _parse(body: bytes) -> Event:
    head, mark, rest = body.partition(_MARK)
    event: Event = from_json(b"{" + head + b"}" if mark else b"{" + body)
    if mark:
        event[AT_LENGTH] = partial(from_json, rest[:-1])
    return event


def outcome_event(outcome: Outcome | Failure, objectives: tuple[Objective, ...]) -> Event:
    """An outcome as plain JSON values.

    A result without a finite value for every objective counts as a failure; its measurements are
    kept.
    """
    if isinstance(outcome, Failure):
        return {"metrics": {}, "failure": _plain(outcome)}
    result = outcome.result
    failure = outcome.failure or _objection(outcome, objectives)
    event: Event = {
        "started": outcome.started,
        "seconds": outcome.seconds,
        "seed": outcome.job.seed,
        "metrics": {},
        "failure": _plain(failure),
    }
    if result is None:
        return event
    event["metrics"] = _floats(result.metrics)
    event["speed"] = _floats(result.speed)
    event["config"] = result.config
    event[AT_LENGTH] = {
        "curve": [_floats(point) for point in result.curve],
        "diagnosis": result.diagnosis,
        "resampled": packed(result.resampled),
    }
    return event


def values_in(event: Event, objectives: tuple[Objective, ...]) -> tuple[float, ...] | None:
    """Values of the objectives on validation, in order; None for a failure."""
    if event["failure"]:
        return None
    return tuple(event["metrics"][objective.key(SEARCH)] for objective in objectives)


def failure_in(event: Event) -> Failure | None:
    """The stored failure, if any."""
    return Failure(**event["failure"]) if event["failure"] else None


def params_in(asked: Event) -> dict[str, Scalar]:
    """Searched parameters of an asked trial."""
    return {name: asked["config"][name] for name in asked["params"]}


def details(outcome: Event) -> Event:
    """Decodes curve, diagnosis and packed resamples of an outcome."""
    decoded: Event = outcome[AT_LENGTH]() if AT_LENGTH in outcome else {}
    return decoded


def record_of(
    asked: Sequence[Event],
    done: Sequence[Event],
    replicates: tuple[Replicate, ...],
    ladder: Sequence[int],
    over: bool,
) -> TrialRecord:
    """Builds the record of a trial.

    Args:
        asked: its jobs, from the lowest rung.
        done: their outcomes so far.
        ladder: training samples at each rung; empty where every trial is trained to full length.
        over: whether the search has ended, so that no trial continues.
    """
    trial = asked[0]
    results = [outcome for outcome in done if not outcome["failure"]]
    last = _last_outcome(results, done)
    config: dict[str, Scalar] = last["config"] if "config" in last else trial["config"]
    last_details = details(last)
    diagnoses = [details(outcome)["diagnosis"] for outcome in results[:-1]]
    diagnoses.append(last_details.get("diagnosis", {}))
    rungs = zip(ladder, asked, results, diagnoses, strict=False)
    return TrialRecord(
        number=trial["trial"],
        state=_state(len(asked), done, len(ladder), over),
        params=params_in(trial),
        config=config,
        architecture=_architecture_of(config),
        metrics=last["metrics"],
        speed=last.get("speed", {}),
        curve=last_details.get("curve", []),
        failure=failure_in(done[-1]) if done else None,
        replicates=replicates,
        baseline=trial["baseline"],
        started=done[0].get("started", 0.0) if done else 0.0,
        seconds=sum(outcome.get("seconds", 0.0) for outcome in done),
        rungs=tuple(itertools.starmap(_rung_result, rungs)),
        diagnosis=last_details.get("diagnosis", {}),
    )


def _architecture_of(config: Mapping[str, Scalar]) -> str:
    """The familiar name of a model, or its trainer's."""
    trainer = str(config.get(TRAINER, OURS))
    if trainer != OURS:
        return trainer
    sharing, funnel = config.get("sharing.kind", "?"), config.get("funnel.kind", UNTIED)
    return architecture_name(str(sharing), str(funnel))


def _last_outcome(results: Sequence[Event], done: Sequence[Event]) -> Event:
    """The last outcome with a result, else the last one."""
    if results:
        return results[-1]
    return done[-1] if done else {"metrics": {}}


def _state(asked: int, done: Sequence[Event], rungs: int, over: bool) -> TrialStatus:
    """Status of a trial with that many jobs, in a search with that many rungs."""
    if done and done[-1]["failure"]:
        return "failed" if len(done) == 1 else "pruned"
    if len(done) < asked:
        return "running"
    if len(done) == max(1, rungs):
        return "completed"
    return "pruned" if over else "waiting"


def _rung_result(samples: int, asked: Event, outcome: Event, diagnosis: Event) -> RungResult:
    return RungResult(samples, asked["job"], outcome["metrics"], outcome["seconds"], diagnosis)


def packed(sequences: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Encodes each sequence as little-endian float32 in base64, a tenth of the size of JSON
    numbers.
    """
    texts = {}
    for key, numbers in sequences.items():
        data = np.asarray(numbers, "<f4").tobytes()
        texts[key] = base64.b64encode(data).decode()
    return texts


def unpacked(texts: Mapping[str, str]) -> dict[str, list[float]]:
    """Inverse of `packed`, in single precision."""
    return {
        key: np.frombuffer(base64.b64decode(text), "<f4").astype(float).tolist()
        for key, text in texts.items()
    }


def _objection(outcome: Outcome, objectives: tuple[Objective, ...]) -> Failure | None:
    """Why an outcome counts as a failure: an objective without a finite value, except on test."""
    metrics = {} if outcome.result is None else outcome.result.metrics
    splits = [split for split in outcome.job.splits if split != TEST]
    for objective, split in itertools.product(objectives, splits):
        key = objective.key(split)
        if key not in metrics:
            return Failure(
                "bug", f"expected a value of {key}, found none among the trial's metrics"
            )
        if not math.isfinite(metrics[key]):
            return Failure("diverged", f"expected a finite value of {key}, found {metrics[key]}")
    return None


def _plain(failure: Failure | None) -> dict[str, object] | None:
    return {"kind": failure.kind, "reason": failure.reason} if failure else None


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items()}


def replicate_event(outcome: Outcome, objectives: tuple[Objective, ...]) -> Event:
    """A retraining as plain JSON values; `asked` has the configuration of one that belongs to no
    trial.
    """
    job = outcome.job
    event: Event = {
        "kind": job.kind,
        "trial": job.trial,
        "replicate": job.replicate,
        "until": job.until,
    }
    if job.trial is None:
        event["asked"] = job.config
    return event | outcome_event(outcome, objectives)


def training_in(event: Event) -> str:
    """Identifies retrainings that differ only by seed, see `Point.training`."""
    return training_of(event["kind"], event["trial"], event["until"], event.get("asked", {}))


def replicates_in(events: Iterable[Event]) -> tuple[Replicate, ...]:
    """Replicates by number, then by length."""
    replicates = map(_replicate_in, events)
    return tuple(sorted(replicates, key=lambda one: (one.replicate, one.until or math.inf)))


def _replicate_in(event: Event) -> Replicate:
    return Replicate(
        replicate=event["replicate"],
        seed=event["seed"],
        metrics=event["metrics"],
        failure=failure_in(event),
        until=event["until"],
        resampled=unpacked(details(event).get("resampled", {})),
    )


def points_beside_trials(groups: Iterable[Sequence[Event]]) -> list[Point]:
    """Points outside the search's trials, each with its replicates, in the order of
    `bench.core.records.TRAINED`.

    A baseline may have several configurations or lengths, if its origin changed while a search
    continued; each is a point, the latest last. Retuned static weights have a point for each
    weight, in order of weights.

    Args:
        groups: replicates that differ only by seed.
    """
    points = [_point_beside_trials(events) for events in groups]
    return sorted(points, key=lambda point: (TRAINED.index(point.kind), *_weights(point)))


def _point_beside_trials(events: Sequence[Event]) -> Point:
    kind, config = events[0]["kind"], dict(events[0]["asked"])
    return Point(
        kind=kind,
        config=config,
        architecture=kind_of(config) if kind in ("current", TWIN) else kind,
        until=events[0]["until"],
        replicates=replicates_in(events),
    )


def _weights(point: Point) -> list[float]:
    return list(point.weights.values()) if point.kind == "static_weights" else []
