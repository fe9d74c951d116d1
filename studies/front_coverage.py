"""How often intervals hold the truth, and whether probabilities come true, on runs whose truth is
known.

    python studies/front_coverage.py [--runs 2000] [--write docs/studies/statistics.md]

`--write` puts the tables between the marks in that file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from fronts import SETTINGS, Setting, run_of, truth_of
from speed.table import replace, writer

from bench.ledger.errors.intervals import differences, intervals, reflected
from bench.ledger.errors.posterior import p_nondominated, posterior_draws
from bench.ledger.errors.seed_noise import seed_noise
from bench.ledger.pareto import hypervolume, nondominated

BINS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0 + 1e-9)
OFF, MANY = 0.1, 50
"""A setting has a row of its own where a bin of `MANY` configurations or more is off by more than
`OFF`.
"""


class Tally:
    """Of one setting: whether each interval held the truth, and what was said and true of each
    configuration.
    """

    def __init__(self) -> None:
        self.mean: list[bool] = []
        self.difference: list[bool] = []
        self.volume: list[bool] = []
        self.gain: list[float] = []
        self.chances: list[float] = []
        self.true: list[bool] = []

    def share(self, name: str) -> float:
        """The share of intervals of that name that held the truth."""
        return float(np.mean(getattr(self, name)))

    @property
    def brier(self) -> float:
        """Brier score of the probabilities."""
        return float(np.mean((np.array(self.chances) - np.array(self.true)) ** 2))

    @property
    def uninformed(self) -> float:
        """Brier score of who says the share of the non-dominated of every configuration."""
        return float(np.var(self.true))


def tally_of(setting: Setting, runs: int, seed: int = 0, draws: int = 400) -> Tally:
    """The results of `runs` runs."""
    rng, tally = np.random.default_rng(seed), Tally()
    for run in range(runs):
        truth = truth_of(setting, rng)
        samples = run_of(setting, truth, rng)
        noise = seed_noise(samples)
        rows = intervals(samples)
        assert noise is not None
        assert rows is not None
        tally.mean += [
            interval.low <= true <= interval.high
            for row, values in zip(rows, truth, strict=True)
            for interval, true in zip(row, values, strict=True)
        ]
        paired = differences(samples)
        assert paired is not None
        tally.difference += [
            interval.low <= true <= interval.high
            for i, j in combinations(range(len(samples)), 2)
            for interval, true in zip(paired.intervals(i, j), truth[i] - truth[j], strict=True)
        ]
        tally.gain.append(float(np.median(paired.saved)))
        objectives, reference = setting.objectives, setting.reference
        drawn = posterior_draws(samples, noise, run, draws)
        measured = hypervolume(np.array([sample.mean for sample in samples]), objectives, reference)
        volume = reflected(
            measured, np.array([hypervolume(draw, objectives, reference) for draw in drawn])
        )
        tally.volume.append(volume.low <= hypervolume(truth, objectives, reference) <= volume.high)
        chances = p_nondominated(samples, objectives, run, draws)
        assert chances is not None
        tally.chances += chances.tolist()
        tally.true += nondominated(truth, objectives).tolist()
    return tally


def coverage_table(tallies: Sequence[tuple[Setting, Tally]]) -> str:
    """Coverage of nominal 90% intervals and Brier scores: the mean over settings, and both ends."""
    measures: dict[str, Callable[[Tally], float]] = {
        "mean": lambda tally: tally.share("mean"),
        "paired difference": lambda tally: tally.share("difference"),
        "hypervolume": lambda tally: tally.share("volume"),
        "Brier score": lambda tally: tally.brier,
        "of who knows only the share": lambda tally: tally.uninformed,
    }
    lines = ["| | mean | least | largest |", "|---|---|---|---|"]
    for title, measure in measures.items():
        shape = ".3f" if "Brier" in title or "who" in title else ".1%"
        values = [(measure(tally), setting.name) for setting, tally in tallies]
        (low, first), (high, last) = min(values), max(values)
        mean = np.mean([value for value, _ in values])
        lines.append(
            f"| {title} | {mean:{shape}} | {low:{shape}}: {first} | {high:{shape}}: {last} |"
        )
    return "\n".join(lines)


def reliability(*tallies: Any) -> list[tuple[float, float, int]]:
    """By bin what was said on average, in which share it was true, and of how many
    configurations.
    """
    announced, true = (
        np.array([value for tally in tallies for value in getattr(tally, name)])
        for name in ("chances", "true")
    )
    reliabilities = []
    for low, high in pairwise(BINS):
        inside = (announced >= low) & (announced < high)
        n = int(inside.sum())
        reliabilities.append(
            (float(announced[inside].mean()), float(true[inside].mean()), n)
            if n
            else (np.nan, np.nan, 0)
        )
    return reliabilities


def reliability_table(rows: Sequence[tuple[str, Sequence[Any]]]) -> str:
    """Mean P(non-dominated), how often it came true, and of how many, by name of some tallies and
    bin.
    """
    names = [f"{low:.2f} to {min(high, 1):.2f}" for low, high in pairwise(BINS)]
    lines = [f"| runs | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for name, together in rows:
        cells = [
            f"{announced:.2f}: {true:.2f} ({n:,})" if n else "-"
            for announced, true, n in reliability(*together)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def pooled(tallies: Sequence[tuple[Setting, Tally]]) -> list[tuple[str, Sequence[Tally]]]:
    """The rows of `reliability_table`: settings with a bin that is off, and at the end several
    together.
    """
    return [
        *((setting.name, [tally]) for setting, tally in tallies if _off(tally)),
        (
            "**seeds by Student's t**",
            [tally for setting, tally in tallies if np.isfinite(setting.tails)],
        ),
        ("**three objectives**", [tally for setting, tally in tallies if setting.metrics > 2]),
        ("**all**", [tally for _, tally in tallies]),
    ]


def _off(tally: Tally) -> bool:
    """Whether what is said of many configurations differs much from what is true."""
    return any(
        n >= MANY and abs(announced - true) > OFF for announced, true, n in reliability(tally)
    )


def pairing_table(tallies: Sequence[tuple[Setting, Tally]]) -> str:
    """How many times fewer seeds pairing needs, where seeds are shared: as reported, and truly."""
    lines = ["| runs | correlation | gain reported (median) | true gain |", "|---|---|---|---|"]
    for setting, tally in tallies:
        if setting.correlation:
            # a replicate's own rows are in both variances
            seeds = setting.seeds**2
            rows = (setting.own_rows / 2) ** 2
            true = (seeds + rows) / (seeds * (1 - setting.correlation) + rows)
            lines.append(
                f"| {setting.name} | {setting.correlation:g} | {np.median(tally.gain):.1f} | "
                f"{true:.1f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Simulates runs, and prints or writes the tables."""
    parser = writer(__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="of each setting")
    options = parser.parse_args()
    tallies = [(setting, tally_of(setting, options.runs)) for setting in SETTINGS]
    for setting, tally in tallies:
        shares = ", ".join(f"{tally.share(name):.1%}" for name in ("mean", "difference", "volume"))
        print(f"{setting.name}: {shares}; {tally.brier:.3f}, {tally.uninformed:.3f}")
    tables = {
        "coverage": f"{coverage_table(tallies)}\n\n{reliability_table(pooled(tallies))}",
        "pairing": pairing_table(tallies),
    }
    print(*tables.values(), sep="\n\n")
    if options.write:
        for name, table in tables.items():
            replace(options.write, name, table)


if __name__ == "__main__":
    main()
