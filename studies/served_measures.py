"""Which measure of a trial leads to the best served pick: read off `served_table.py`'s table.

    python studies/served_measures.py [--table reports/blackbox/served.parquet] [--sizes 24]
    [--draws 400]
        [--write docs/studies/search.md] [--name served-measures]

A search is imitated on random configurations: of `--sizes` of them, those in the best third by a
measure at an eighth of full length go on; the best three of these by the same measure at full
length are confirmed; of the three that with the largest U on validation and confirmation rows is
picked. The regret is the largest U in truth of all these configurations less the pick's, in per
cent (U is a mean of logarithms). Measures are means over tasks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from speed.table import replace as replace_table

MEASURES = {
    "AUC over all rows": ("auc",),
    "area within groups, by rows": ("gauc",),
    "area within groups, by positives": ("gauc_positives",),
    "ndcg@5 of each head": ("ndcg@5",),
    "AUC and area within groups": ("auc", "gauc_positives"),
    "ndcg@5 and area within groups": ("ndcg@5", "gauc_positives"),
    "recall@10% of each head": ("recall@10%",),
    "AUC and recall@10%": ("auc", "recall@10%"),
}
CONFIRMED, PART = 3, 3
"""How many are confirmed, and one in how many goes on."""


def values(frame: pd.DataFrame, metrics: tuple[str, ...]) -> np.ndarray | None:
    """(runs,) the mean over tasks; several are first divided by their deviation over runs. None
    without any.
    """
    parts = []
    for metric in metrics:
        names = [
            name for name in frame if name.startswith("valid/") and name.endswith(f".{metric}")
        ]
        if not (names := [name for name in names if frame[name].notna().all()]):
            return None
        scores = frame[names].mean(axis=1).to_numpy()
        parts.append(scores / scores.std() if len(metrics) > 1 else scores)
    return np.mean(parts, axis=0)


def regrets(
    low: np.ndarray, full: np.ndarray, select: np.ndarray, true: np.ndarray, size: int, draws: int
) -> np.ndarray:
    """(draws,) of imitated searches."""
    rng, losses = np.random.default_rng(0), np.empty(draws)
    for draw in range(draws):
        some = rng.permutation(len(true))[:size]
        on = some[np.argsort(-low[some], kind="stable")[: max(CONFIRMED, size // PART)]]
        confirmed = on[np.argsort(-full[on], kind="stable")[:CONFIRMED]]
        losses[draw] = true[some].max() - true[confirmed[np.argmax(select[confirmed])]]
    return losses


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/served.parquet"))
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--write", type=Path, help="put the table into this document")
    parser.add_argument("--name", default="served-measures", help="of the table there")
    options = parser.parse_args()
    frame = pd.read_parquet(options.table)
    cells_by_measure: dict[str, list[str]] = {}
    heads = ["measure"]
    for dataset, rows in frame.groupby("dataset", sort=False):
        full = rows[rows["fraction"] == 1].set_index(["configuration", "seed"])
        low = rows[rows["rung"] == 0].set_index(["configuration", "seed"]).loc[full.index]
        true, select = full["U/test"].to_numpy(float), full["U/select"].to_numpy(float)
        heads.append(f"{dataset} ({len(full)})")
        for name, metrics in MEASURES.items():
            early, late = values(low, metrics), values(full, metrics)
            if early is None or late is None:
                continue
            lost = 100 * regrets(early, late, select, true, options.size, options.draws)
            cells_by_measure.setdefault(name, []).append(
                f"{lost.mean():.2f}, {np.quantile(lost, 0.9):.2f}; "
                f"{spearmanr(late, true).statistic:.2f}"
            )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in cells_by_measure.items()]
    print("\n".join(lines))
    if options.write:
        replace_table(options.write, options.name, "\n".join(lines))


if __name__ == "__main__":
    main()
