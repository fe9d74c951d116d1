"""What came of retraining: trained members, their calibrations, and how good they are together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.atomic import atomic_folder
from bench.errors import UserError
from bench.production.calibration import Calibration
from bench.records import Scalar

FILE = "retrained.json"


@dataclass(frozen=True)
class Member:
    """One training of the configuration.

    Attributes:
        states: the model's; one for each task, in order, where tasks are separate models of unequal length.
        samples: trained on, of each state.
        held_out: metrics on the rows held out, as `valid/click.auc`.
        test: metrics on test, uncalibrated.
    """

    seed: int
    states: tuple[Mapping[str, Tensor], ...]
    samples: tuple[int, ...]
    held_out: dict[str, float]
    test: dict[str, float]


@dataclass(frozen=True)
class Retrained:
    """The model for good, as plain values and tensors on the CPU.

    Attributes:
        config: dotted, all of it.
        tasks: in the order of the logits.
        members: that are kept; several are averaged.
        seeds: of all trainings, those that were not kept among them.
        calibrations: by prediction (`click`, `buy.cvr`, `buy.ctcvr`), for the mean of the members.
        test: metrics on test of the members' mean, uncalibrated.
        calibrated: the same, calibrated.
        served: outcomes on test of the ranking by the score, as `like.recall@10%`.
        warnings: where test is outside its prediction intervals, in sentences.
        provenance: what remakes it: data, configuration, seeds, versions.
    """

    config: dict[str, Scalar]
    tasks: tuple[str, ...]
    members: tuple[Member, ...]
    seeds: tuple[int, ...]
    calibrations: dict[str, Calibration]
    test: dict[str, float]
    calibrated: dict[str, float]
    served: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes `retrained.json` and a safetensors file for each state into a new folder, all or nothing."""
        with atomic_folder(folder) as made:
            plain = {name: value for name, value in vars(self).items() if name not in ("members", "calibrations")}
            plain["calibrations"] = {name: each.to_json() for name, each in self.calibrations.items()}
            plain["members"] = []
            for i, member in enumerate(self.members):
                files = [f"member-{i}-{k}.safetensors" for k in range(len(member.states))]
                for file, state in zip(files, member.states, strict=True):
                    save_file({name: tensor.contiguous() for name, tensor in state.items()}, made / file)
                plain["members"].append(asdict(_without_states(member)) | {"states": files})
            (made / FILE).write_text(json.dumps(plain, indent=2), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Retrained:
        """The inverse of `write`.

        Raises:
            UserError: nothing of the kind is there.
        """
        try:
            plain = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"expected a retrained model with a {FILE}, found none at {folder}") from None
        members = []
        for member in plain["members"]:
            states = tuple(load_file(folder / file) for file in member["states"])
            members.append(Member(**member | {"states": states, "samples": tuple(member["samples"])}))
        fitted = {name: Calibration.from_json(each) for name, each in plain["calibrations"].items()}
        sequences = {name: tuple(plain[name]) for name in ("tasks", "seeds", "warnings")}
        return cls(**plain | sequences | {"members": tuple(members), "calibrations": fitted})


def _without_states(member: Member) -> Member:
    """Itself as plain values: tensors go to files."""
    return Member(member.seed, (), member.samples, member.held_out, member.test)
