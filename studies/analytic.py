"""Two tasks whose learning curves are known in closed form, over the table's space: what replays
are tested on.

Every parameter has a best value that depends on its branch at most; a lean between the tasks trades
one objective for the other. High learning rates learn faster and then overfit; low ones are still
learning at full length. So the order of configurations at a low rung is informative but not that of
full length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from replay import Table, Trained

from bench.core.objectives import Objective
from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.search.space import Space, load_space

TASKS = ("first", "second")
OBJECTIVES = (Objective("first.auc", "maximize"), Objective("second.auc", "maximize"))
REFERENCE = {"first.auc": 0.85, "second.auc": 0.85}
NOISE = 3e-4

# What a way of sharing costs each task at its best, and how a balancer leans between the tasks.
_SHARING = {
    "single_task": (0.012, 0.010),
    "shared_embeddings": (0.008, 0.009),
    "shared_bottom": (0.006, 0.010),
    "mmoe": (0.003, 0.002),
    "ple": (0.000, 0.003),
}
_BALANCING = {
    "uncertainty": 0.1,
    "dwa": 0.0,
    "gls": -0.1,
    "rlw": 0.2,
    "pcgrad": 0.0,
    "mgda": 0.5,
    "cagrad": -0.4,
    "upgrad": 0.0,
}


def space() -> Space:
    """The space of the table, without funnels."""
    return load_space("reports/blackbox/space.toml").restricted({"funnel.kind": "independent"})


@dataclass(frozen=True)
class Analytic:
    """Any configuration can be trained, and is itself.

    Attributes:
        seed: of the noise.
    """

    seed: int = 0
    proposals: int = 1
    portfolio: tuple[dict[str, Scalar], ...] = ()
    fractions: tuple[float, ...] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
    space: Space = field(default_factory=space)
    tasks: tuple[str, ...] = TASKS
    objectives: tuple[Objective, ...] = OBJECTIVES
    reference: Mapping[str, float] = field(default_factory=lambda: REFERENCE)

    def fresh(self) -> Analytic:
        """Itself: nothing is used up."""
        return self

    @property
    def best(self) -> tuple[float, float]:
        """Shares are of 1; see `replay.Problem`."""
        return 1.0, 1.0

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> Trained:
        """See `replay.Problem`."""
        observed, true = (
            curve(proposals[0], self.fractions, self.seed, noise) for noise in (NOISE, 0.0)
        )
        return Trained(0, dict(proposals[0]), observed, true)

    def table(self, configurations: int) -> Table:
        """Random configurations as a table."""
        rng = np.random.default_rng(derive(self.seed, "table"))
        configs = [self.space.sample(rng, TASKS) for _ in range(configurations)]
        curves = np.array([curve(config, self.fractions, self.seed) for config in configs])
        true = np.array([curve(config, self.fractions, self.seed, 0.0) for config in configs])
        return Table(
            self.space, TASKS, OBJECTIVES, REFERENCE, self.fractions, configs, curves, true
        )


def curve(
    config: Mapping[str, Scalar], fractions: Sequence[float], seed: int = 0, noise: float = NOISE
) -> np.ndarray:
    """Both objectives after each fraction of full length: (rungs, 2)."""
    settings = dict(config)
    kind = str(settings["sharing.kind"])
    balancing = str(settings.get("balancing.kind", "dwa"))
    lean = _BALANCING.get(balancing, 0.0)
    if balancing == "static":
        lean = math.log2(float(settings["balancing.static.weight.second"])) / 4  # type: ignore[arg-type]
    if kind == "single_task":
        lean = 0.0
    rate = math.log10(
        float(settings["optim.lr"]) * (2048 / int(settings["optim.batch_size"])) ** 0.5
    )  # type: ignore[arg-type]
    loss = 0.01 * (float(settings["tower.dropout"]) - 0.15) ** 2 / 0.04  # type: ignore[arg-type]
    loss += {8: 0.002, 16: 0.0}[int(settings["embedding.dim"])] + {"32": 0.001, "64-32": 0.0}[
        str(settings["tower.layers"])
    ]  # type: ignore[arg-type]
    loss += 0.002 * (math.log10(float(settings["optim.embedding_l2"])) + 1.0) ** 2  # type: ignore[arg-type]
    loss += 0.008 * (rate + 2.6) ** 2
    if kind == "mmoe":
        loss += (
            0.001 * (int(settings["sharing.mmoe.experts"]) - 5) ** 2
            + {"32": 0.003, "64": 0.0, "128-64": 0.001}[  # type: ignore[arg-type]
                str(settings["sharing.mmoe.layers"])
            ]
        )
    if kind == "ple":
        loss += 0.003 * (2 - int(settings["sharing.ple.levels"])) + 0.001 * abs(
            int(settings["sharing.ple.own_experts"]) - 2
        )  # type: ignore[arg-type]
    ends = np.array([0.97, 0.97]) - loss - np.array(_SHARING[kind])
    ends -= 0.02 * np.array([(lean + 0.6) ** 2, (lean - 0.6) ** 2])
    positions = np.asarray(fractions, dtype=float)[:, None]
    speed = 10 ** (rate + 2.6)  # 1 at the best learning rate
    learning = 0.03 * np.exp(-6 * speed * positions)
    overfit = 0.004 * np.maximum(0.0, speed * positions - 0.7)
    rng = np.random.default_rng(derive(seed, "noise", repr(sorted(settings.items()))))
    return np.asarray(ends - learning - overfit + noise * rng.normal(size=(len(positions), 2)))
