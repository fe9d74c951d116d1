"""What trained members say of a split together, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import SplitName, Store
from bench.models.assembly import MultiTaskModel
from bench.production.calibrating import calibrated
from bench.production.calibration import Calibration
from bench.training.build import build_model
from bench.training.config import TrialConfig
from bench.training.device import choose_device
from bench.training.evaluation import Evaluation
from bench.training.metrics import Tally

State = Mapping[str, Tensor]
Member = Sequence[State]
"""One training's state, or one for each task where tasks are separate models."""


class Said(NamedTuple):
    """Rows (n, T) of a split: labels, and conditional and joint probabilities; rows' groups (n,)."""

    labels: NDArray[Any]
    conditional: NDArray[np.float32]
    joint: NDArray[np.float32]
    group: NDArray[Any]


class Predictor:
    """One configuration's model on one store, with the weights of any of its members.

    Args:
        device: "auto", "cpu" or "cuda".
        outcomes: of rankings to measure.
    """

    def __init__(self, store: Store, config: TrialConfig, device: str = "auto", outcomes: Sequence[str] = ()) -> None:
        self.store, self.outcomes, at = store, tuple(outcomes), choose_device(device)
        self.model: MultiTaskModel = build_model(store.schema, config).to(at)
        self._evaluation = Evaluation(store, self.model, at)

    def said(self, split: SplitName, members: Sequence[Member]) -> Iterator[Said]:
        """The mean of the members' probabilities, in the split's order."""
        data, at = self.store.split(split), 0
        for logits in zip(*(self._logits(split, member) for member in members), strict=True):
            every = [self.model.probabilities(each) for each in logits]
            conditional, joint = (
                torch.stack(each).mean(0).cpu().numpy()
                for each in ([p.conditional for p in every], [p.joint for p in every])
            )
            rows = slice(at, at + len(conditional))
            at += len(conditional)
            yield Said(np.asarray(data.labels_of(rows)), conditional, joint, np.asarray(data.group[rows]))

    def metrics(
        self, split: SplitName, members: Sequence[Member], calibrations: Mapping[str, Calibration] | None = None
    ) -> dict[str, float]:
        """Every task's metrics of the members' mean, calibrated where calibrations are given."""
        tally = Tally(self.store.schema.tasks, f"{split}/", outcomes=self.outcomes)
        for said in self.said(split, members):
            conditional, joint = calibrated(self.store.schema, said.conditional, said.joint, calibrations or {})
            tally.add(said.labels, conditional, joint, said.group)
        return tally.result()

    def _logits(self, split: SplitName, member: Member) -> Iterator[Tensor]:
        """Logits (n, T) of a member; where it has a state for each task, each task's own."""
        states = [{name: tensor.to(self._evaluation.device) for name, tensor in state.items()} for state in member]
        parts = [self._evaluation.logits(split, state) for state in states]
        if len(parts) == 1:
            return parts[0]
        return (torch.stack([each[:, at] for at, each in enumerate(of)], 1) for of in zip(*parts, strict=True))
