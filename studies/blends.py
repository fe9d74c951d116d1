"""Blends of a network and boosted trees against the part that validation prefers, on rows of test.

    python studies/blends.py --raw DIR [--data census-income ...] [--seeds 2] [--out FOLDER]
        [--write docs/studies/inputs-tables.md]

`DIR` and `FOLDER` are those of `trees.py`. On each seed two networks are trained, and trees with
the settings that three tries found. As in a run, validation chooses the network, and the share of
each task. Each task's blend is compared with the network or the trees, whichever is better on
validation, in pairs by seed and by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from speed.table import replace, writer
from trainings import CARDS, Trainings, mean, store_of

from bench.core.records import NETWORK, SHARE, TREES, Point
from bench.ledger.errors.evidence import evidence_by_id
from bench.ledger.errors.intervals import differences
from bench.measure.predictions import name_of
from bench.models.training.blend import shares_of

NAME = "blends"


def rows(card: str, trainings: Trainings) -> Iterator[tuple[float, float, str]]:
    """By task the gain over the preferred part, the upper end of its interval, and the row of the
    table.
    """
    (network, first), (trees, second, _) = trainings.network(), trainings.trees()
    names = [
        (name_of(network.training, seed), name_of(trees.training, seed)) for seed in trainings.seeds
    ]
    config = {NETWORK: network.id, TREES: trees.id, **trees.config}
    config |= shares_of(trainings.store, trainings.folder, trainings.objectives, names)
    blended = [trainings.run("blend", None, config, seed) for seed in trainings.seeds]
    keys = [objective.key("test") for objective in trainings.objectives]
    for number, objective in enumerate(trainings.objectives):
        preferred = max((first, second), key=lambda runs: mean(runs, objective.key("valid")))
        named = {"blend": blended, "part": preferred}
        points = [
            Point("model", {}, "", replicates=tuple(runs), label=name)
            for name, runs in named.items()
        ]
        paired = differences(list(evidence_by_id(points, keys).values()))
        assert paired is not None
        gain = paired.improvements(0, 1, trainings.objectives)[number]
        share = config[f"{SHARE}{objective.name.partition('.')[0]}"]
        means = " | ".join(f"{mean(runs, keys[number]):.5f}" for runs in (first, second, blended))
        part = "network" if preferred is first else "trees"
        lead = f"{1e4 * gain.value:+.1f} ({1e4 * gain.low:+.1f} to {1e4 * gain.high:+.1f})"
        yield (
            gain.value,
            gain.high,
            f"| {card} | {objective.name} | {share} | {means} | {part} | {lead} |",
        )


def main() -> None:
    """Trains what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=CARDS, default=list(CARDS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("trainings"))
    options = parser.parse_args()
    head = (
        "data | objective | network's share | network | trees | blend | validation prefers | "
        "blend less that, .0001"
    )
    lines, gains, behind = [f"| {head} |", "|---" * 8 + "|"], [], 0
    for card in options.data:
        trainings = Trainings(
            store_of(card, options.raw, options.home), options.out / card, options.seeds
        )
        for gain, high, row in rows(card, trainings):
            gains.append(gain)
            behind += high < 0
            lines.append(row)
    lines += [
        "",
        (
            f"Mean gain: {1e4 * np.mean(gains):+.1f}. Intervals wholly below 0: {behind} of "
            f"{len(gains)}."
        ),
    ]
    print("\n".join(lines))
    replace(options.write, NAME, "\n".join(lines))


if __name__ == "__main__":
    main()
