"""Whether what is served is picked better with the noise of labels taken out, see `expected_labels.py`.

    OMP_NUM_THREADS=1 python tests/benchmarks/pick_labels.py FOLDER .. [--runs 40] [--keep FILE]
        [--write docs/search.md]

Each folder has kept predictions of some models and seeds: `<keep>/funnel-log` of `pick_regret.py --keep <keep>`, or
`predictions` of a run. In each run of a case six models are drawn, two seeds of each, and two sets of rows of the size
that the case says. The serving point with the largest mean logarithm of the outcomes is chosen twice: by labels, and
with their noise taken out. Both are judged by other seeds where there are any.

On the generated logs the probabilities behind the labels are known. Rows are those of validation and confirmation, with
labels drawn again in each run, and the truth is by the probabilities on test. On real data the rows are drawn from
confirmation and test rows, whole groups where there are any, and the truth is by the labels of all the others.
Intervals of 90% are of the mean difference: over runs, and on real data over resamples of the rows that judge, too.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from expected_labels import outcomes_redrawn, smoothed
from pick_regret import GENERATED, chances, labels_drawn
from replay import Floats
from scipy.special import expit, logit
from speed.table import replace as replace_table

from bench.frontier.score import KINDS, Fusion
from bench.frontier.served.measuring import Candidate, Meter
from bench.frontier.served.served import Sweep
from bench.predictions import Rows, rows_of
from bench.rows import CONFIRM, SEARCH, TEST
from bench.seeds import derive

MODELS, SEEDS, RESAMPLES = 6, 2, 40
THINNED = 0.2
"""The share of rows without a positive that is kept, with weights."""


@dataclass(frozen=True)
class Case:
    """What is chosen for.

    Attributes:
        outcome: of each task; of a regression `recall` reads `value`.
        rows: of each of two sets; 0 for all.
        spoilt: what is wrong with the last head: "", "noise", "too sure", "bent".
        thinned: whether most rows without a positive are left out and the others weighted.
        amount: whether the second task is what a purchase brings, a price that is known.
    """

    outcome: str
    rows: int = 0
    spoilt: str = ""
    thinned: bool = False
    amount: bool = False

    def __str__(self) -> str:
        notes = (
            ["negatives thinned"] * self.thinned
            + ["amounts"] * self.amount
            + [f"last head {self.spoilt}"] * bool(self.spoilt)
        )
        return ", ".join([f"`{self.outcome}`", *([f"2 x {self.rows:,} rows"] if self.rows else []), *notes])


CASES: dict[str, tuple[Case, ...]] = {
    "hotel-bookings": (Case("recall@10%", 2500), Case("recall@30%", 2500), Case("recall@10%", 8000)),
    "funnel-log": (
        Case("recall@10%"), Case("recall@2%"), Case("recall@10%", amount=True), Case("recall@10%", thinned=True),
        Case("recall@10%", spoilt="noise"), Case("recall@10%", spoilt="bent"),
    ),
    "sparse-log": (Case("recall@10%"), Case("recall@10%", spoilt="too sure")),
    "kuairand-pure@late-window": (Case("ndcg@5", 5000), Case("recall@10%", 5000)),
    "census-income": (Case("recall@10%", 5000),),
}  # fmt: skip
OTHERS = (Case("recall@10%", 2500), Case("recall@10%", 8000))


class Pool:
    """Kept predictions of models and seeds, on rows of some splits one after the other."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.parent.name if folder.name == "predictions" else folder.name
        self.known = self.name in GENERATED
        self.splits = (SEARCH, CONFIRM, TEST) if self.known else (CONFIRM, TEST)
        parts = [found for split in self.splits if (found := rows_of(folder, split)) is not None]
        firsts = np.cumsum([0, *(part.group.max(initial=-1) + 1 for part in parts)])
        groups = [np.where(part.group < 0, -1, part.group + at) for part, at in zip(parts, firsts, strict=False)]
        self.sizes = [part.kept for part in parts]
        self.rows = replace(
            parts[0], labels=np.concatenate([part.labels for part in parts]), weights=None, segments={}, logged={},
            group=np.concatenate(groups).astype(np.int32), units=np.concatenate([part.units for part in parts]),
        )  # fmt: skip
        found = chances(self.name) if self.known else {}
        self.chances = np.concatenate([found.get(split, np.empty((0, 2))) for split in self.splits])
        files: dict[str, dict[str, str]] = defaultdict(dict)
        for file in sorted(folder.glob(f"*-*.{TEST}.npy")):
            name = file.name.removesuffix(f".{TEST}.npy")
            model, seed = name.rsplit("-", 1)
            if folder.name != "predictions":  # an entry, a seed, a rung
                entry, seed, rung = name.split("-")
                model = f"{entry}-{rung}"
            if all((folder / f"{name}.{split}.npy").is_file() for split in self.splits):
                files[model][seed] = name
        self.files = {model: seeds for model, seeds in files.items() if len(seeds) >= SEEDS}
        self._folder = folder

    def predictions(self, model: str, seed: str, spoilt: str) -> Floats:
        """(rows, tasks)."""
        name = self.files[model][seed]
        found = np.concatenate([np.load(self._folder / f"{name}.{split}.npy") for split in self.splits]).astype(float)
        last = found[:, -1]
        if spoilt == "noise":
            found[:, -1] = np.random.default_rng(derive(0, name)).permutation(last)
        elif spoilt == "too sure":
            found[:, -1] = expit(2 * logit(last.clip(1e-6, 1 - 1e-6)) + 3)
        elif spoilt == "bent":  # the best tenth looks mediocre
            found[:, -1] = np.where(last > np.quantile(last, 0.9), np.median(last), last)
        return found.astype(np.float32)

    def sets(self, case: Case, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
        """Two sets of rows to choose on, and those that judge."""
        every = np.arange(len(self.rows.labels))
        if self.known:
            first, second, last = np.split(every, np.cumsum(self.sizes)[:2])
            size = case.rows or len(every)
            return [rng.permutation(each)[:size] for each in (first, second)], last
        units = self.rows.group if (self.rows.group >= 0).any() else self.rows.units
        place = rng.permutation(len(np.unique(units)))[np.unique(units, return_inverse=True)[1]]
        ordered = np.sort(place)
        low, high = ordered[case.rows], ordered[2 * case.rows]
        return [every[place < low], every[(low <= place) & (place < high)]], every[place >= high]


def part(rows: Rows, at: np.ndarray, labels: Floats, weights: Floats | None = None) -> Rows:
    """Some of the rows, with other labels (of all rows)."""
    return replace(rows, labels=labels[at].astype(np.float32), group=rows.group[at], units=rows.units[at], of=len(at),
                   codes=np.empty((len(at), 0), np.int16), weights=weights)  # fmt: skip


def run(pool: Pool, case: Case, number: int) -> dict[str, list[float]]:
    """True mean logarithm of the outcomes of each choice, by way; on real data on resamples as well."""
    rng = np.random.default_rng(derive(number, pool.name, str(case)))
    models = rng.permutation(sorted(pool.files))[:MODELS].tolist()
    seeds = {model: rng.permutation(sorted(pool.files[model])).tolist() for model in models}
    found = {(m, s): pool.predictions(m, s, case.spoilt) for m in models for s in seeds[m]}
    rows, chance, labels = pool.rows, pool.chances, pool.rows.labels
    if pool.known:
        labels = labels_drawn(chance, rng).astype(np.float32)
    if case.amount:
        price = np.column_stack([np.ones(len(labels)), rng.lognormal(3, 0.7, len(labels))]).astype(np.float32)
        labels, chance, found = labels * price, chance * price, {key: each * price for key, each in found.items()}
        rows = replace(rows, kinds=("binary", "regression"), rates=tuple(rows.rates * price.mean(axis=0)))
    kinds = dict(zip(rows.tasks, rows.kinds, strict=True))
    names = [f"{task}.{case.outcome if kind == 'binary' else case.outcome.replace('recall', 'value')}"
             for task, kind in kinds.items()]  # fmt: skip
    equal = Fusion.of("power", [1.0] * len(names))
    settings = [equal, *(each for each in Sweep(len(names), KINDS).settings if each != equal)]

    def candidates(at: np.ndarray, own: dict[str, list[str]]) -> list[Candidate]:
        return [Candidate(m, m, "?", "trial", tuple(range(len(own[m]))), lambda _, k, m=m: found[m, own[m][k]][at])
                for m in models]  # fmt: skip

    seen = {model: each[:SEEDS] for model, each in seeds.items()}
    chosen_on, rest = pool.sets(case, rng)
    measured, drawn = [], []
    for split, at in zip((SEARCH, CONFIRM), chosen_on, strict=True):
        weights = None
        if case.thinned:
            positive = (labels[at] > 0).any(axis=1)
            kept = positive | (rng.random(len(at)) < THINNED)
            at, weights = at[kept], np.where(positive[kept], 1.0, 1 / THINNED).astype(np.float32)
        own, these = candidates(at, seen), part(rows, at, labels, weights)
        swept = Meter(own, these, split, names, 0).sweep(settings)
        measured.append(np.array([each.mean(axis=0) for each in swept]))
        drawn.append(outcomes_redrawn(own, these, split, names, settings))
    picks = {
        "labels": np.unravel_index(_score(np.mean(measured, axis=0)).argmax(), np.shape(measured)[1:3]),
        "smoothed": np.unravel_index(_score(smoothed(measured, drawn)).argmax(), np.shape(measured)[1:3]),
    }
    other = {model: each[SEEDS:] or each for model, each in seeds.items()}
    truth = part(rows, rest, chance if pool.known else labels)
    if pool.known:
        truth = replace(truth, kinds=("regression",) * len(names))
        names = [name.replace("recall", "value") for name in names]
    meter = Meter(candidates(rest, other), truth, TEST, names, RESAMPLES)
    of, places = zip(*((int(model), int(setting)) for model, setting in picks.values()), strict=True)
    points = meter.points(of, places, settings)
    moved = points.moved[: 0 if pool.known else RESAMPLES]
    values = _score(np.concatenate([points.means[None], points.means + moved]))
    return dict(zip(picks, values.T.tolist(), strict=True))


def _score(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, 1e-9)).mean(axis=-1))


def line_of(name: str, case: str, runs: list[dict[str, list[float]]]) -> str:
    """A row of the table."""
    apart = np.array([each["smoothed"] for each in runs]) - np.array([each["labels"] for each in runs])
    mean, error = 100 * apart[:, 0].mean(), 100 * apart[:, 0].std(ddof=1) / np.sqrt(len(runs))
    if apart.shape[1] > 1:
        error = np.hypot(error, 100 * (apart[:, 1:] - apart[:, :1]).mean(axis=0).std(ddof=1))
    same = np.mean(apart[:, 0] == 0)
    low, high = mean - 1.645 * error, mean + 1.645 * error
    return f"| {name} | {case} | {len(runs)} | {mean:+.2f}% ({low:+.2f} to {high:+.2f}) | {same:.0%} |"


def main() -> None:
    """Prints the table after each round of runs, one of each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--runs", type=int, default=40, help="of each case")
    parser.add_argument("--keep", type=Path, help="a file for results, to go on from")
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    pools = [Pool(folder) for folder in options.folders]
    found: dict[str, list[dict[str, list[float]]]] = defaultdict(list)
    if options.keep and options.keep.is_file():
        found |= json.loads(options.keep.read_text())
    head = "| data | outcome, rows | runs | gain with their noise taken out | same choice |"
    for number in range(options.runs):
        for pool in pools:
            for case in CASES.get(pool.name, OTHERS):
                own = found.setdefault(f"{pool.name}|{case}", [])
                if len(own) <= number:
                    own.append(run(pool, case, number))
        if options.keep:
            options.keep.write_text(json.dumps(found))
        if number:
            lines = [head, "|---" * 5 + "|", *(line_of(*key.split("|"), own) for key, own in found.items())]
            print("\n".join(lines), flush=True)
    if options.write:
        replace_table(options.write, "labels", "\n".join(lines))


if __name__ == "__main__":
    main()
