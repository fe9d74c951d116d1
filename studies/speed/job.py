"""A child process's job to measure, and its answer; both travel as JSON files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.system.atomic import write_text

ARCHITECTURES = ("shared_bottom", "esmm", "mmoe", "ple")
EVALUATION_BATCH = 8192
WARM_STEPS = 3  # trained before the clock starts, the same for all


@dataclass(frozen=True)
class Job:
    """A training of one architecture in one system.

    Attributes:
        store: folder of the prepared data; peers read its arrays, so that all see the same ids.
        epochs: of the train split; a fraction makes a quick look, at the full size of the table.
        mmoe_experts, ple_experts: of MMoE, and of each of PLE's three groups (shared, and one for
            each task).
        precision: of our own products.
    """

    system: str
    architecture: str
    store: str
    seed: int
    threads: int
    batch: int = 2048
    epochs: float = 1.0
    lr: float = 1e-3
    embedding: int = 16
    expert_layers: tuple[int, ...] = (128, 64)
    tower_layers: tuple[int, ...] = (64, 32)
    mmoe_experts: int = 8
    ple_experts: int = 4
    precision: str = "auto"

    @classmethod
    def read(cls, path: Path) -> Job:
        """The inverse of `write`."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in values.items()
            }
        )

    def write(self, path: Path) -> None:
        """As JSON."""
        write_text(path, json.dumps(asdict(self)))


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Attributes:
        train_samples_per_s: after the warm-up; evaluations are not counted.
        eval_samples_per_s: predictions of the evaluation rows and exact AUC of both tasks.
        auc: of click and of buy (click and purchase, in ESMM), on the evaluation rows.
        peak_memory_mb: largest resident memory of the process.
        first_seconds: from the start of the process to the end of the warm-up.
    """

    train_samples_per_s: float
    eval_samples_per_s: float
    auc: dict[str, float]
    peak_memory_mb: float
    first_seconds: float

    @classmethod
    def read(cls, path: Path) -> Measured:
        """The inverse of `write`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """As JSON."""
        write_text(path, json.dumps(asdict(self)))
