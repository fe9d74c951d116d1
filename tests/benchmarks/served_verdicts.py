"""How often the verdict about a served front is wrong, where the truth is known.

    OMP_NUM_THREADS=1 python tests/benchmarks/served_verdicts.py [--runs 200] [--keep DIR] [--write docs/statistics.md]

The pick is that of a policy: most of the second outcome with at least as much of the first as the current point has.
`--keep` leaves each setup's runs in a folder and goes on from there; `--write` puts the table between the marks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from served_worlds import Kind, Setup, conflicting, settings_of
from speed.table import replace

from bench.errors import UserError
from bench.frontier.choices import served_choices
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.frontier.served.candidates import Current
from bench.frontier.served.served import Served, served_front
from bench.frontier.served.verdict import MARGIN, Verdict, verdict
from bench.fusion import Fusion

COLUMNS = ("win", "trade", "tie", "baseline", "unknown", "wrong gain", "wrong win", "wrong cost", "unnamed", "trees")
POLICY = Policy().asked("like.recall@10%", {"click.recall@10%": "100% of current"}, {})


@dataclass(frozen=True)
class Case:
    """A setup, and the baseline that is truly as good as the best candidate, if any."""

    setup: Setup
    equal: str = ""


def cases() -> list[Case]:
    """Eleven candidates each, the current model among them."""
    two = conflicting(2, 20_000, 0, 1)

    def setup(
        name: str, others: float, best: float, baseline: tuple[str, float], noise: float, rows: int, replicates: int = 2
    ) -> Setup:
        kinds = [Kind("now", others, noise, replicates, role="current"), Kind("best", best, noise, replicates)]
        kinds += [Kind(f"other {at}", others, noise, replicates) for at in range(8)]
        kinds.append(Kind(baseline[0], baseline[1], noise, replicates, role="baseline"))
        return Setup(name, two, kinds, "recall@10%", rows, alike=0.3, truth_seeds=32)

    same, worse, equal = ("random_weights", 0.0), ("random_weights", 0.6), ("equal_weights", 0.0)
    return [
        Case(setup("all equal, seeds matter little", 0, 0, same, 0.1, 2000)),
        Case(setup("all equal, seeds matter much", 0, 0, same, 0.6, 4000)),
        Case(setup("one is a little better", 0.25, 0, ("random_weights", 0.25), 0.1, 4000, 3)),
        Case(setup("one is much better", 0.6, 0, worse, 0.1, 4000, 3)),
        Case(setup("one is much better, seeds matter much", 0.6, 0, worse, 0.4, 4000, 3)),
        Case(setup("one is much better, a baseline as good", 0.6, 0, equal, 0.1, 4000, 3), "equal_weights"),
        Case(setup("the same, seeds matter much", 0.6, 0, equal, 0.4, 4000, 3), "equal_weights"),
        Case(setup("trees as good as all", 0, 0, ("trees", 0.0), 0.1, 4000, 3)),
        Case(setup("trees ahead of all", 0.6, 0.6, ("trees", 0.0), 0.1, 4000, 3)),
    ]


def run_of(case: Case, number: int) -> dict[str, Any]:
    """What the verdict says in one run, and whether that is so."""
    setup = case.setup
    candidates, rows = setup.run(number)
    now = Current("now", _best_of(setup))
    served = served_front(candidates, rows, setup.outcomes, now, number, 100, 600)
    try:
        chosen = pick(served_choices(served, [], {}), [], setup.outcomes, POLICY)
        row, holds = chosen.row, chosen.stability.holds
    except UserError:
        row, holds = served.current, None
    told = verdict(served, row, "the current model", holds)
    return _judged(case, served, row, told)


def _best_of(setup: Setup) -> Fusion:
    """The fusion of the current model: of sums the one with the largest product of true outcomes."""
    grid = [Fusion.of("sum", (1 - w, w)) for w in np.linspace(0.1, 0.9, 17).tolist()]
    return grid[int(np.log(setup.truth(["now"] * len(grid), grid)).sum(axis=1).argmax())]


def _judged(case: Case, served: Served, row: int, told: Verdict) -> dict[str, Any]:
    points, settings = served.table["point"].tolist(), settings_of(served)
    pair = [row, served.current]
    truth = case.setup.truth([points[at] for at in pair], [settings[at] for at in pair])
    gain = truth[0] / truth[1] - 1
    changes = list(zip(told.changes, gain.tolist(), strict=True))
    switch = told.kind in ("win", "trade")
    return {
        told.kind: True,
        "wrong gain": switch and any(each.gained and true <= 0 for each, true in changes),
        "wrong win": told.kind == "win" and any(true < -MARGIN for _, true in changes),
        "wrong cost": told.kind == "trade" and any(each.lost and true >= 0 for each, true in changes),
        "unnamed": bool(case.equal) and switch and case.equal not in told.sentence,
        "trees": told.sentence.startswith("Boosted trees are ahead"),
        "gain": gain.tolist(),
        "reach": served.reach,
    }


def table_of(found: Sequence[tuple[Case, list[dict[str, Any]]]]) -> str:
    """Shares of runs, by setup."""
    lines = [f"| runs | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for case, runs in found:
        shares = [f"{np.mean([bool(each.get(name)) for each in runs]):.1%}" for name in COLUMNS]
        lines.append(f"| {case.setup.name} ({len(runs)}) | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of each setup")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of setups")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    told = []
    for at, case in enumerate(cases()):
        file = options.keep / f"verdicts-{at}.json" if options.keep else None
        runs = json.loads(file.read_text()) if file is not None and file.is_file() else []
        start = time.perf_counter()
        if options.only is None or at in options.only:
            for number in range(len(runs), options.runs):
                runs.append(run_of(case, number))
                if file is not None:
                    file.write_text(json.dumps(runs))
            print(f"{case.setup.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        if runs:
            told.append((case, runs))
    table = table_of(told)
    print(table)
    if options.write:
        replace(options.write, "served verdicts", table)


if __name__ == "__main__":
    main()
