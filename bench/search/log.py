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
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from pydantic_core import from_json

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import (
    TRAINED,
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
from bench.models.config import UNTIED, architecture_name

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
        self._bodies, self._size, self._sum = list[bytes](), 0, 0
        for number, line in enumerate(lines, start=1):
            checksum = crc32(body := line[_BODY:], self._sum)
            if line[:_BODY] != (_HEAD % checksum).encode():
                if 1 < number == len(lines):
                    break  # only the last line may be torn
                raise UserError(
                    f"{self.path}: line {number} is damaged, or lines before it are missing: its "
                    f"checksum does not fit; put back a copy of the file, or cut off line {number} "
                    "and all after it, and `seesaw resume` goes on from there"
                )
            self._bodies.append(body)
            self._size, self._sum = self._size + len(line) + 1, checksum
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
        if not self._size:
            write_text(
                self.path, line.decode()
            )  # atomic, so that a file is never without a whole first line
        else:
            self._add(line)
        self._size, self._sum = self._size + len(line), checksum
        return _parse(body)

    def _add(self, text: bytes) -> None:
        with room_for(self.path), self._opened() as file:
            try:
                file.seek(self._size)
                left = memoryview(text)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException:
                with suppress(
                    OSError
                ):  # the first error is reported; the next driver removes the rest
                    file.truncate(self._size)
                raise

    def _opened(self) -> FileIO:
        try:
            return self.path.open("r+b", buffering=0)
        except (
            FileNotFoundError
        ) as error:  # a moved folder: creating the file would start half a log
            raise Unwritable(self.path, error.errno) from None


@contextmanager
def many_objects() -> Iterator[None]:
    """Disables garbage collection for code that makes many objects and no garbage: its scans would
    take most time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
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
    result, failure = outcome.result, outcome.failure or _objection(outcome, objectives)
    event: Event = {
        "started": outcome.started,
        "seconds": outcome.seconds,
        "seed": outcome.job.seed,
    }
    event |= {"metrics": {}, "failure": _plain(failure)}
    if result is None:
        return event
    return event | {
        "metrics": _floats(result.metrics),
        "speed": _floats(result.speed),
        "config": result.config,
        AT_LENGTH: {
            "curve": [_floats(point) for point in result.curve],
            "diagnosis": result.diagnosis,
            "resampled": packed(result.resampled),
        },
    }


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


def at_length(event: Event) -> Event:
    """Decodes curve, diagnosis and packed resamples of an outcome."""
    decoded: Event = event[AT_LENGTH]() if AT_LENGTH in event else {}
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
    failure = failure_in(done[-1]) if done else None
    last: Event = results[-1] if results else done[-1] if done else {"metrics": {}}
    config: dict[str, Scalar] = (last if "config" in last else trial)["config"]
    if failure:
        state: TrialStatus = "pruned" if results else "failed"
    elif len(done) < len(asked):
        state = "running"
    elif len(done) == max(1, len(ladder)):
        state = "completed"
    else:
        state = "pruned" if over else "waiting"
    more = at_length(last)
    diagnoses = [at_length(outcome)["diagnosis"] for outcome in results[:-1]] + [
        more.get("diagnosis", {})
    ]
    return TrialRecord(
        number=trial["trial"],
        state=state,
        params=params_in(trial),
        config=config,
        architecture=architecture_name(
            str(config.get("sharing.kind", "?")), str(config.get("funnel.kind", UNTIED))
        ),
        metrics=last["metrics"],
        speed=last.get("speed", {}),
        curve=more.get("curve", []),
        failure=failure,
        replicates=replicates,
        baseline=trial["baseline"],
        started=done[0].get("started", 0.0) if done else 0.0,
        seconds=sum(outcome.get("seconds", 0.0) for outcome in done),
        rungs=tuple(
            RungResult(samples, begun["job"], outcome["metrics"], outcome["seconds"], diagnosis)
            for samples, begun, outcome, diagnosis in zip(
                ladder, asked, results, diagnoses, strict=False
            )
        ),
        diagnosis=more.get("diagnosis", {}),
    )


def packed(values: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Encodes each sequence as little-endian float32 in base64, a tenth of the size of JSON
    numbers.
    """
    return {
        key: base64.b64encode(np.asarray(each, "<f4").tobytes()).decode()
        for key, each in values.items()
    }


def unpacked(texts: Mapping[str, str]) -> dict[str, list[float]]:
    """Inverse of `packed`, in single precision."""
    return {
        key: np.frombuffer(base64.b64decode(text), "<f4").astype(float).tolist()
        for key, text in texts.items()
    }


def _objection(outcome: Outcome, objectives: tuple[Objective, ...]) -> Failure | None:
    metrics = {} if outcome.result is None else outcome.result.metrics
    for objective, split in product(
        objectives, [split for split in outcome.job.splits if split != TEST]
    ):
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
    of = {"kind": job.kind, "trial": job.trial, "replicate": job.replicate, "until": job.until}
    asked = {"asked": job.config} if job.trial is None else {}
    return of | asked | outcome_event(outcome, objectives)


def training_in(event: Event) -> str:
    """Identifies retrainings that differ only by seed, see `Point.training`."""
    return training_of(event["kind"], event["trial"], event["until"], event.get("asked", {}))


def replicates_in(kept: Iterable[Event]) -> tuple[Replicate, ...]:
    """Replicates by number, then by length."""
    replicates = (
        Replicate(
            replicate=each["replicate"],
            seed=each["seed"],
            metrics=each["metrics"],
            failure=failure_in(each),
            until=each["until"],
            resampled=unpacked(at_length(each).get("resampled", {})),
        )
        for each in kept
    )
    return tuple(sorted(replicates, key=lambda each: (each.replicate, each.until or math.inf)))


def others_in(groups: Iterable[Sequence[Event]]) -> list[Point]:
    """Points outside the search's trials, each with its replicates, in the order of
    `bench.core.records.TRAINED`.

    A baseline may have several configurations or lengths, if its origin changed while a search
    continued; each is a point, the latest last. Retuned static weights have a point for each
    weight, in order of weights.

    Args:
        groups: replicates that differ only by seed.
    """
    points = [
        Point(
            kind=(of := group[0])["kind"],
            config=dict(of["asked"]),
            architecture=kind_of(of["asked"]) if of["kind"] in ("current", TWIN) else of["kind"],
            until=of["until"],
            replicates=replicates_in(group),
        )
        for group in groups
    ]
    return sorted(points, key=lambda each: (TRAINED.index(each.kind), *_weights(each)))


def _weights(point: Point) -> list[float]:
    return list(point.weights.values()) if point.kind == "static_weights" else []
