"""The verdict as a value: which model and which weights, what each gains, and how sure that is.

A served ranking is a model and weights. To change the weights of what one has is free, to change
the model costs a launch, so effects are told apart. U is what the policy maximises, w* the weights
of a model that have most of it on the rows that choose, within the policy's limits.

* weights alone = U(today's model, w*) - U(today);
* model alone = U(candidate, its w*) - U(today's model, w*);
* both = their sum.

All is judged on test, which chose nothing, by draws of one posterior over all candidates: see
`bench.ledger.served.joint`. Where nobody said what is served, the best single-task models at their
own w* stand for it, and the verdict is about models alone, at the anchors of `bench.deciding.aims`.
`bench.deciding.answering` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from bench.deciding.words import verdict as words
from bench.deciding.words.verdict import Changes
from bench.ledger.effect import Effect
from bench.ledger.served.joint import Moves
from bench.ledger.served.slices import AS_LOGGED

VerdictKind = Literal["model", "weights", "keep", "unknown"]


@dataclass(frozen=True)
class ModelGain:
    """What a model at its best weights gains over what is served, or over what stands for it.

    Attributes:
        point: its id; name: in words.
        row: of the served front, its best weights.
        gain: on test.
        refused: which limit refuses it, in words; empty where none does.
    """

    point: str
    name: str
    row: int
    gain: Moves
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        facts: dict[str, Any] = {"point": self.point, "name": self.name, "row": self.row}
        if self.refused:
            facts["refused"] = self.refused
        return facts | self.gain.to_json()


@dataclass(frozen=True)
class Verdict:
    """The verdict on switching.

    Attributes:
        kind: `model`: switch to another model. `weights`: keep the model, and change its weights.
            `keep`: nothing is gained that matters. `unknown`: cannot tell.
        answer: one to four sentences.
        notes: sentences on how sure that is, and on what else there is.
        row: of the served front, what the answer says to serve, or of `unknown` cannot tell about;
            None to keep what there is.
        both, weights, model: expected effects of that row, see `bench.ledger.served.joint`: of all,
            of the weights alone, of the model alone; None where there is no such part, or no served
            front. Cells have measured ones.
        anchors: where nobody said what is served, the model's U on average and by anchor.
        slices: by slice of the rows (`scenario=2`) the changes there; see `slice_changes`.
        ahead: names of points that are surely ahead of that row, and not advised.
        detectable: the gain in U that this test shows four times in five.
        lasting: of a gain that is announced what is expected to last; see
            `bench.ledger.served.lasting`.
        about: the row that these effects are of; who: the same in words.
        overall: what a gain of U is of, as a table has it; both_ways: whether it is a mean of two
            tests.
        models: each model at its best weights, the largest gain of U first.
        limits: that the answer keeps, in words.
    """

    kind: VerdictKind
    answer: tuple[str, ...]
    notes: tuple[str, ...] = ()
    row: int | None = None
    both: Moves | None = None
    weights: Moves | None = None
    model: Moves | None = None
    anchors: Mapping[str, Effect] = field(default_factory=dict)
    slices: Mapping[str, Changes] = field(default_factory=dict)
    ahead: tuple[str, ...] = ()
    detectable: float | None = None
    lasting: Effect | None = None
    about: int | None = None
    who: str = ""
    overall: str = ""
    both_ways: bool = False
    models: tuple[ModelGain, ...] = ()
    limits: tuple[str, ...] = ()

    def by_days(self, sentence: str, average: Effect) -> Verdict:
        """Itself with what a back-test says of its row; nobody can tell where that is surely behind
        on an average day.

        Args:
            sentence: on how many days it is ahead.
            average: the gain of U on the average day.
        """
        if self.kind in ("model", "weights") and average.high < 0:
            answer = "Cannot tell whether to switch: test and the back-test disagree."
            notes = (f"Test alone says: {self.sentence}", *self.notes)
            return replace(self, kind="unknown", answer=(answer, sentence), notes=notes)
        return replace(self, answer=(*self.answer, sentence))

    @property
    def keep(self) -> bool:
        """Whether the answer is to keep what there is."""
        return self.kind == "keep"

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return " ".join(self.answer)

    @property
    def weightings(self) -> int:
        """Over how many ways to weigh the outcomes its gain of U is a mean."""
        return max(len(self.anchors) - 1, 1)

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows: of U and of each outcome what weights, model and both gain, and where
        most is surely lost.

        Without columns that would be empty, or say the same again.
        """
        columns = self._columns
        if not columns:
            return [], []
        headers = [self.who, *columns]
        rows = self._overall_rows(columns)
        for name in self.changes:
            gains = [str(moves.outcomes[name]) for moves in columns.values()]
            rows.append([name, *gains])

        worst: dict[str, str] = {}
        for slice, name, loss in losses(self.slices):
            worst.setdefault(name, f"{slice} {loss}")
        if worst:
            headers.append(words.WORST)
            for row in rows:
                row.append(worst.get(row[0], ""))
        return headers, rows

    @property
    def _columns(self) -> dict[str, Moves]:
        """By title the effects that a table shows."""
        effects = {words.WEIGHTS: self.weights, words.MODEL: self.model, words.BOTH: self.both}
        columns = {}
        for title, moves in effects.items():
            if moves is not None and not moves_nothing(moves):
                columns[title] = moves
        if len(columns) == 2 and words.BOTH in columns:  # then the other one is all of it
            del columns[words.BOTH]
        return columns

    def _overall_rows(self, columns: Mapping[str, Moves]) -> list[list[str]]:
        """What is gained in U; over several anchors the mean and the least."""
        overall = words.as_mean(self.overall, self.weightings, self.both_ways)
        if not self.anchors:
            gains = [str(moves.utility) for moves in columns.values()]
            return [[overall, *gains]]
        (_, mean), *by_anchor = self.anchors.items()
        rows = [[overall, str(mean)]]
        if len(by_anchor) > 1:
            weighing, smallest = min(by_anchor, key=lambda anchor: anchor[1].value)
            rows.append([f"the same where {weighing}: the least", str(smallest)])
        return rows

    @property
    def by_model(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows: what each model gains at its best weights, in all and by outcome;
        nothing of one model.
        """
        if len(self.models) < 2:
            return [], []
        outcomes = list(self.models[0].gain.outcomes)
        rows = []
        for model in self.models:
            row = [model.name, str(model.gain.utility)]
            for name in outcomes:
                row.append(str(model.gain.outcomes[name]))
            rows.append(row)
        overall = words.as_mean(self.overall, self.weightings, self.both_ways)
        headers = ["each model at its best weights", overall, *outcomes]
        if any(model.refused for model in self.models):
            headers.append("refused by")
            for row, model in zip(rows, self.models, strict=True):
                row.append(model.refused)
        return headers, rows

    @property
    def changes(self) -> Changes:
        """By outcome what is expected, of all; empty without a served front."""
        return self.both.outcomes if self.both else {}

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        document: dict[str, Any] = {
            "kind": self.kind,
            "sentence": self.sentence,
            "notes": list(self.notes),
            "keep": self.keep,
        }
        effects = {"both": self.both, "weights_alone": self.weights, "model_alone": self.model}
        for name, moves in effects.items():
            if moves is not None:
                document[name] = moves.to_json()
        optional = {
            "anchors": {name: gain.to_json() for name, gain in self.anchors.items()},
            "segments": {name: _by_outcome(changes) for name, changes in self.slices.items()},
            "ahead": list(self.ahead),
            "shows": self.detectable,
            "lasting": self.lasting and self.lasting.to_json(),
            "models": [model.to_json() for model in self.models],
            "limits": list(self.limits),
        }
        return document | {name: value for name, value in optional.items() if value}


def _by_outcome(changes: Changes) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for outcome, change in changes.items():
        document[outcome] = None
        if np.isfinite(change.value):
            document[outcome] = change.to_json()
    return document


def unserved(reason: str) -> Verdict:
    """The verdict of a run without a served front."""
    return Verdict("unknown", (f"Cannot tell whether to switch: {reason}.",))


def moves_nothing(change: Moves) -> bool:
    """Whether a change moves no outcome at all: both rank exactly alike."""
    effects = change.outcomes.values()
    return all(effect.value == effect.low == effect.high == 0 for effect in effects)


def losses(slices: Mapping[str, Changes]) -> list[tuple[str, str, Effect]]:
    """Slice, outcome and effect of what is surely lost, the largest loss first."""
    lost = []
    for slice, changes in slices.items():
        if slice == AS_LOGGED:
            continue
        for outcome, change in changes.items():
            if change.lost:
                lost.append((slice, outcome, change))
    return sorted(lost, key=lambda loss: loss[2].value)
