"""The numbers that a section opens with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from bench.frontier.frontier import Frontier
from bench.records import TrialRecord, point_name
from bench.report import text
from bench.report.findings import Headline
from bench.report.view import Axis, Trial


def headlines(
    records: Sequence[TrialRecord], front: Frontier, axes: Sequence[Axis], trials: Sequence[Trial]
) -> tuple[Headline, ...]:
    """Best of each objective, hypervolume, trials, training time."""
    return (
        *(_best(axis) for axis in axes),
        Headline("hypervolume", text.number(front.hypervolume), _against(front)),
        _counts(records, sum(trial.on_front for trial in trials)),
        _time(records),
    )


def _best(axis: Axis) -> Headline:
    name = f"best {axis.label}"
    if axis.best is None:
        return Headline(name, text.number(None), "no trial has a value")
    detail = point_name(axis.best.trial, axis.best.until)
    if axis.baseline is not None:
        scale = text.gain_scale(axis.name)
        gain = axis.sign * (axis.best.value - axis.baseline.value) * scale
        unit = f"{text.THIN}\N{MULTIPLICATION SIGN}{text.THIN}10\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT THREE}"
        detail += f", {text.signed(gain, scale)}{unit if scale > 1 else ''} against single task"
    return Headline(name, text.number(axis.best.value), detail)


def _against(front: Frontier) -> str:
    reference = ", ".join(map(text.plain, front.reference.values()))
    return f"of the front, reference ({reference})"


def _counts(records: Sequence[TrialRecord], on_front: int) -> Headline:
    states = Counter(record.state for record in records)
    others = [f"{states[state]} {state}" for state in ("failed", "pruned", "running", "waiting") if states[state]]
    detail = ", ".join([f"{on_front} on the front", *others])
    return Headline("trials completed", f"{states['completed']:,}", detail)


def _time(records: Sequence[TrialRecord]) -> Headline:
    seconds = [record.seconds for record in records if record.seconds > 0]
    if not seconds:
        return Headline("training time", text.number(None), "not recorded")
    return Headline("training time", text.duration(sum(seconds)), f"median {text.duration(median(seconds))} a trial")
