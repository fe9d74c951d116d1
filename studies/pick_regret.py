"""From a search to a pick, replayed: how far the pick is from the best, and whether its verdict is
right.

    python studies/pick_regret.py --keep FOLDER [--replays 20] [--budget 8] [--datasets
    hotel-bookings ..]
        [--fresh 16] [--more 0] [--home .seesaw] [--raw DIR] [--write docs/studies/search.md]

A search by rungs, from the portfolio that was learnt on the other data, is replayed on the table's
entries, on the values of one seed. The points that it would confirm are trained on fresh seeds,
once for all replays, and their predictions are kept in FOLDER. By as many of these seeds as `quick`
has replicates, others in each replay, both fronts are drawn, and the policy's rule `knee` picks:
once among heads, once among serving points, with the best single-task model under equal weights as
the current point. The true value of a choice is its mean over the other seeds, on test. On the
generated logs AUC and served outcomes are there by the probabilities behind the labels, so free of
the noise of labels. Regret is the best true score of anything that was trained on fresh seeds less
the pick's, in the rule's own unit: a mean of AUC, or of shares of the served outcomes. The best is
chosen on half of the other seeds and judged on the rest, both ways round: by the same seeds, the
best of many noisy means would look better than it is. The same holds for rows: where heads are
measured by labels, the best is chosen on nine tenths of the test's users and judged on the tenth
left out, ten times. There the mean regret has a standard error, by these tenths: the replays share
the rows of test. With `--more N` the heads that were picked, and those that may be the best, are
judged by N further seeds instead. What is served must keep the policy's limits by its true changes,
or it is no candidate for the best. Candidates are all that was trained, under a grid of weights,
and all that the policy could pick, under its own weights.

A verdict is right where all that it says is so by the true changes: what it says is gained is, what
it says is lost is, and the mean change is above 0 where it says to change the model or its weights;
where it says to stay, the mean change is not above 1%. One that cannot tell says nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from blackbox_table import carry_out, finished_frame, plan
from learn_portfolio import SUITE, card_of, known_of, learnt_without, name_of, tables_of
from replay import Floats, Table, named
from searchers import OURS, SEARCHERS, Trace
from speed.table import replace as replace_table

from bench.core.objectives import Objective, default_outcomes
from bench.core.records import Point, Replicate
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import Task
from bench.core.seeds import derive
from bench.data import Card, load_card
from bench.data.splits import SPLITS, SplitInput, halved
from bench.data.synthetic.funnel import FunnelConfig, generate
from bench.data.values import Text
from bench.deciding.aims import aims_of
from bench.deciding.answering import verdict_of
from bench.deciding.case import Case
from bench.deciding.choices import head_choices, served_choices
from bench.deciding.contest import Contests
from bench.deciding.judging import Judge
from bench.deciding.pick import pick
from bench.deciding.policy import LOSS, Policy
from bench.deciding.verdict import Verdict
from bench.ledger.fusion import Fusion
from bench.ledger.heads import frontier
from bench.ledger.pareto import contributions, ranks
from bench.ledger.served.measuring import Candidate, CurrentRanking, Meter
from bench.ledger.served.served import Served, served_front
from bench.ledger.served.sweep import Sweep
from bench.measure.predictions import KEPT, predictions, read_rows

FRESH = tuple(range(2, 18))
"""Seeds of the trainings on fresh seeds, at most: none of the table's."""
LIMIT, REPLICATES = 3, 4
"""As `quick` confirms: points, and replicates of each. The best of each other way of sharing comes
on top.
"""
DATASETS = tuple(name_of(dataset.id) for dataset in SUITE.datasets)
GENERATED = ("funnel-log", "sparse-log", "rare-feed", "long-tail-log")
FOLDS = 10
"""Of the users of a test that is measured by labels."""
MORE = tuple(range(100, 200))
"""Seeds of `--more`."""
SAYS = ("switch", "change the weights", "stay", "cannot tell")
AIMS = {"heads": 0.0005, "served": 0.02}
"""The regret that is aimed at in 9 of 10 replays, by sort of pick."""
KNEE = Policy(rule="knee")
HEAD = (
    "| data left out | regret of heads, AUC: median, 9 of 10, within the aim; mean | of what is "
    "served: the same | verdicts: switch | change the weights | stay | cannot tell | right, of "
    "those that tell |"
)

Place = tuple[int, int]
"""An entry of the table, and a rung."""


def places_of(trace: Trace, table: Table) -> list[Place]:
    """The place of each checkpoint of a replayed search."""
    return [
        tuple(np.argwhere((table.curves == checkpoint).all(axis=-1))[0].tolist())
        for checkpoint in trace.measured
    ]


def listed(trace: Trace, table: Table) -> list[Place]:
    """What a replayed search would confirm.

    The best points by rank and contribution, and the best of each way of sharing; first the best
    single-task one.
    """
    values, places = trace.measured, places_of(trace, table)
    rank = ranks(values, table.objectives)
    order: list[int] = []
    for level in sorted(set(rank.tolist())):
        members = np.flatnonzero(rank == level)
        order += members[
            np.argsort(
                -contributions(values[members], table.objectives, table.reference), kind="stable"
            )
        ].tolist()
    single = [
        number
        for number, (entry, _) in enumerate(places)
        if table.configs[entry]["sharing.kind"] == "single_task"
    ]
    best = max(single, key=lambda number: float(values[number].mean()))
    # A later rung may have the same best state as the one before: one point then.
    ordered = list(dict.fromkeys(places[number] for number in order))
    kinds = {
        table.configs[entry]["sharing.kind"]: (entry, rung) for entry, rung in reversed(ordered)
    }
    return list(dict.fromkeys([places[best], *ordered[:LIMIT], *kinds.values()]))


@dataclass
class Fresh:
    """What was trained on fresh seeds on one data set."""

    frame: pd.DataFrame
    folder: Path
    objectives: tuple[Objective, ...]
    seeds: tuple[int, ...]

    def point(self, place: Place, seeds: Sequence[int], kind: str = "trial") -> Point:
        """A place as a point with replicates of these seeds."""
        runs = []
        for number, seed in enumerate(seeds):
            row = self.frame.loc[(place[0], seed, place[1])]
            metrics = {
                str(name): float(value)
                for name, value in row.items()
                if str(name).startswith(("valid/", "confirm/", "test/"))
            }
            runs.append(Replicate(number + 1, seed, metrics))
        return Point(
            kind,
            {},
            "?",
            number=_number(place) if kind == "trial" else None,
            replicates=tuple(runs),
        )  # type: ignore[arg-type]

    def candidate(self, point: Point, place: Place) -> Candidate:
        """The same with its predictions."""
        seeds = tuple(run.seed for run in point.replicates)

        def read(split: str, number: int) -> Floats:
            predicted = predictions(self.folder, split, f"{place[0]}-{seeds[number]}-{place[1]}")
            assert predicted is not None
            return predicted

        return Candidate(point.id, point.name, "?", point.role, seeds, read)


def _number(place: Place) -> int:
    return place[0] * 10 + place[1]


def chances(dataset: str) -> dict[str, Floats]:
    """By split (rows, tasks) of a generated log the probabilities of a click, and of a click with
    each that follows.
    """
    card = load_card(card_of(dataset))
    return chances_of(card, FunnelConfig(**card.reader.parameters))  # type: ignore[union-attr]


def chances_of(card: Card, config: FunnelConfig) -> dict[str, Floats]:
    """`chances` of a log that the card's generator makes."""
    table = generate(config)
    names, codes = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    users = Text(codes.astype(np.int32), tuple(str(name) for name in names))
    rows = SplitInput(("",), np.zeros(len(table), np.int16), None, users)
    split = halved(card.split.assign(rows), rows, users)
    joint = np.column_stack([table[str(rule.truth)].to_numpy() for rule in card.task_rules])
    joint[:, 1:] *= joint[:, :1]
    return {name: joint[split == SPLITS.index(name)] for name in (SEARCH, CONFIRM, TEST)}


def labels_drawn(chance: Floats, rng: np.random.Generator, *draws: int) -> Floats:
    """(draws.., rows, tasks): labels of a generated log by its `chances` of some rows."""
    rows, tasks = chance.shape
    clicked = rng.random((*draws, rows)) < chance[:, 0]
    later_tasks = [
        clicked & (rng.random((*draws, rows)) < chance[:, task] / chance[:, 0])
        for task in range(1, tasks)
    ]
    return np.stack([clicked, *later_tasks], axis=-1).astype(float)


def expected_auc(chance: Floats, score: Floats) -> Floats:
    """Of scores (N,), where each row is a positive with a probability (.., N), which may be a
    label.
    """
    chance = chance[..., np.argsort(score, kind="stable")]
    below = np.cumsum(1 - chance, axis=-1) - (1 - chance)
    pairs = chance.sum(-1) * (1 - chance).sum(-1) - (chance * (1 - chance)).sum(-1)
    return np.asarray((chance * below).sum(-1) / pairs)


def mean_auc(chance: Floats, scores: Floats) -> Floats:
    """Over the tasks, of chances (.., rows, T), NaN where there is no label, and scores (rows,
    T).
    """
    labelled = ~np.isnan(chance).reshape(-1, *scores.shape).any(axis=0)
    pairs = [(chance[..., rows, t], scores[rows, t]) for t, rows in enumerate(labelled.T)]
    return np.mean([expected_auc(*pair) for pair in pairs], axis=0)


def heads_of(fresh: Fresh, places: Sequence[Place]) -> Floats:
    """(folds, places, seeds), mean AUC of heads on test: by labels, on folds of its users.

    Of a generated log by its probabilities; these have no noise of labels, so there is one fold.
    """
    rows = read_rows(fresh.folder, TEST)
    assert rows is not None
    expected, folds = np.asarray(rows.labels, float), folds_of(rows.units)
    if fresh.folder.name in GENERATED:
        expected, folds = chances(fresh.folder.name)[TEST], np.zeros(rows.kept, int)
    wide = [fresh.candidate(fresh.point(place, fresh.seeds), place) for place in places]
    values = np.empty((folds.max() + 1, len(places), len(fresh.seeds)))
    for p, s in np.ndindex(*values.shape[1:]):
        scores = wide[p].predictions(TEST, s)
        values[:, p, s] = [
            mean_auc(expected[folds == k], scores[folds == k]) for k in range(len(values))
        ]
    return values


def folds_of(units: Floats) -> Floats:
    """(N,) a fold of each row at random; rows of one unit have the same."""
    names, codes = np.unique(units, return_inverse=True)
    return (np.random.default_rng(derive(0, "folds")).permutation(len(names)) % FOLDS)[codes]


def best_head(heads: Floats) -> Floats:
    """(folds,) the mean AUC of the best of heads (folds, places, seeds), which other folds and
    seeds choose.
    """
    merit = np.zeros(len(heads))
    halves = (heads[:, :, ::2].mean(axis=2), heads[:, :, 1::2].mean(axis=2))
    for fold in range(len(heads)):
        other_folds = (
            [fold]
            if len(heads) == 1
            else [number for number in range(len(heads)) if number != fold]
        )
        for choosing, judging in (halves, halves[::-1]):
            merit[fold] += judging[fold, choosing[other_folds].mean(axis=0).argmax()] / 2
    return merit


class Truth:
    """Mean AUC and outcomes of every place on test, on each fresh seed: measured once for all
    replays.
    """

    def __init__(self, fresh: Fresh, places: Sequence[Place]) -> None:
        self.fresh, self.every = fresh, places
        rows = read_rows(fresh.folder, TEST)
        assert rows is not None
        self.tasks = tuple(
            Task(name, kind) for name, kind in zip(rows.tasks, rows.kinds, strict=True)
        )
        self.outcomes = tuple(
            Objective(name, "maximize") for name in default_outcomes(self.tasks, rows.group)
        )
        names = [outcome.name for outcome in self.outcomes]
        if fresh.folder.name in GENERATED:
            expected = chances(fresh.folder.name)[TEST]
            # served outcomes are shares of expected labels
            rows = replace(
                rows, labels=expected.astype(np.float32), kinds=("regression",) * len(names)
            )
            names = [name.replace("recall@", "value@") for name in names]
        self.heads = heads_of(fresh, places)
        self.rows, self.names = rows, names
        self.equal = Fusion.of("power", [1.0] * len(self.tasks))
        settings = [
            self.equal,
            *(setting for setting in Sweep(len(self.tasks)).settings if setting != self.equal),
        ]
        self.values = self.measured(places, settings)

    def measured(self, places: Sequence[Place], settings: Sequence[Fusion]) -> Floats:
        """(places, seeds, settings, outcomes)."""
        wide = [
            self.fresh.candidate(self.fresh.point(place, self.fresh.seeds), place)
            for place in places
        ]
        return np.array(Meter(wide, self.rows, TEST, self.names, 0).sweep(settings))

    def front(self, served: Served, places: Mapping[str, Place]) -> Floats:
        """(rows, seeds, outcomes) of all rows of a served front, under their own weights."""
        table = served.table
        outcomes = np.empty((len(served.table), len(self.fresh.seeds), len(self.outcomes)))
        for point, rows in table.groupby("point", sort=False).indices.items():
            of_point = table.iloc[rows]
            settings = [
                Fusion.of(kind, list(w.values()))
                for kind, w in zip(of_point["kind"], of_point["weights"], strict=True)
            ]
            outcomes[rows] = self.measured([places[str(point)]], settings)[0].transpose(1, 0, 2)
        return outcomes


def replay(fresh: Fresh, places: Sequence[Place], truth: Truth, seed: int) -> dict[str, Any]:
    """One race and pick of each sort: regrets, and what the verdict says and is."""
    all_places = truth.every
    order = np.random.default_rng(derive(seed, "seeds")).permutation(fresh.seeds).tolist()
    seen, unseen = order[:REPLICATES], order[REPLICATES:]
    kinds = ["current"] + ["trial"] * (len(places) - 1)
    points = [fresh.point(place, seen, kind) for place, kind in zip(places, kinds, strict=True)]
    by_id = {point.id: place for point, place in zip(points, places, strict=True)}
    heads = pick(
        head_choices(frontier([], fresh.objectives, seed=seed, baselines=points), points, seed),
        points,
        KNEE,
    )
    columns = [fresh.seeds.index(seed) for seed in unseen]
    true = truth.heads[:, all_places.index(by_id[heads.point]), columns].mean(axis=1)
    by_fold = best_head(truth.heads[:, :, columns]) - true
    result: dict[str, Any] = {"head": by_id[heads.point], "heads": by_fold.mean(), "folds": by_fold}

    rows = {
        str(split): kept_rows
        for split in KEPT
        if (kept_rows := read_rows(fresh.folder, split)) is not None
    }
    candidates = [
        fresh.candidate(point, place) for point, place in zip(points, places, strict=True)
    ]
    rates = dict(zip(rows[CONFIRM].tasks, rows[CONFIRM].rates, strict=True))
    aims = aims_of(KNEE, [outcome.name for outcome in truth.outcomes], rates, True)
    served = served_front(
        candidates, rows, truth.outcomes, CurrentRanking(points[0].id, truth.equal), seed, aims=aims
    )
    choices = served_choices(served, points, aims[0], seed)
    chosen = pick(choices, points, KNEE)
    rows_of_front = truth.front(served, by_id)
    judge, holds = Judge(KNEE, choices), chosen.stability.holds

    contests = Contests(served, judge, aims, seed, chosen.row).of_verdict()
    case = Case(
        contests=contests,
        judge=judge,
        pick=chosen.row,
        against="the current point",
        holds=holds,
        unlimited=chosen.unlimited,
    )
    verdict = verdict_of(case)
    now = truth.values[all_places.index(places[0])][:, 0]
    grid = truth.values.transpose(0, 2, 1, 3).reshape(-1, *now.shape)
    values = np.concatenate([rows_of_front, grid])

    def changes(seeds: Sequence[int]) -> Floats:
        """(choices, outcomes), logarithms of shares of the current point's, by some of the
        seeds.
        """
        numbers = [fresh.seeds.index(seed) for seed in seeds]
        with np.errstate(divide="ignore"):  # nothing of an outcome is left
            return np.log(values[:, numbers].mean(axis=1) / now[numbers].mean(axis=0))

    true_changes = changes(unseen)[chosen.row]
    allowed = (changes(unseen) >= np.log(1 - LOSS)).all(axis=-1)
    scores = [changes(part).mean(axis=-1)[allowed] for part in (unseen[::2], unseen[1::2])]
    answer, right = judged(
        verdict, changes(unseen)[chosen.row if verdict.row is None else verdict.row]
    )
    return result | {
        "served": best_by_halves(*scores) - float(true_changes.mean()),
        "kept": bool(allowed[chosen.row]),
        "change": float(true_changes.mean()),
        "said": answer,
        "right": right,
    }


def contenders(replays: pd.DataFrame, truth: Truth) -> list[Place]:
    """The places that heads' picks came to, and those that may be the best by two standard
    errors.
    """
    heads = truth.heads.mean(axis=0)
    means, errors = heads.mean(axis=1), heads.std(axis=1, ddof=1) / np.sqrt(heads.shape[1])
    near = means + 2 * np.hypot(errors, errors[means.argmax()]) >= means.max()
    return sorted({*replays["head"], *(truth.every[place] for place in np.flatnonzero(near))})


def judged(verdict: Verdict, true: Floats) -> tuple[str, float]:
    """What a verdict says, one of `SAYS`, and whether it is so by the true changes (M,); NaN where
    it cannot tell.
    """
    if verdict.keep:
        return "stay", float(true.mean() < 0.01)
    if verdict.kind == "unknown":
        return "cannot tell", np.nan
    signs = [
        1 if change.gained else -1 if change.lost else 0 for change in verdict.changes.values()
    ]
    right = bool((np.array(signs) * true >= 0).all())
    return SAYS[verdict.kind == "weights"], float(right and true.mean() > 0)


def best_by_halves(first: Floats, second: Floats) -> float:
    """Of true scores by two halves of the seeds: the best by one as the other has it, both ways
    round.
    """
    return float(second[first.argmax()] + first[second.argmax()]) / 2


def trained(
    dataset: str,
    table: Table,
    places: Sequence[Place],
    seeds: tuple[int, ...],
    options: argparse.Namespace,
) -> Fresh:
    """The places' configurations on these seeds; what is not kept yet is trained."""
    runs = plan(dataset, sorted({entry for entry, _ in places}), seeds, options, options.keep)
    runs = [replace(run, config=named(table.configs[run.configuration], run.tasks)) for run in runs]
    carry_out(runs, options.keep, options.workers, np.inf)
    frame = finished_frame(options.keep)
    frame = (
        frame[frame["dataset"] == dataset].set_index(["configuration", "seed", "rung"]).sort_index()
    )
    return Fresh(frame, options.keep / dataset, table.objectives, seeds)


def main() -> None:
    """Replays, trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "--keep", type=Path, required=True, help="folder for trainings on fresh seeds"
    )
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument(
        "--budget", type=float, default=8, help="full-length trainings of the search"
    )
    parser.add_argument(
        "--fresh", type=int, default=len(FRESH), help=f"fresh seeds, at most {len(FRESH)}"
    )
    parser.add_argument(
        "--more", type=int, default=0, help="further seeds by which the best heads are judged"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--home", type=Path)
    parser.add_argument(
        "--raw", type=Path, help="folder with a folder of raw files for each data set"
    )
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    seeds = FRESH[: options.fresh]
    known_data, candidates = known_of(
        [name_of(entry.id) for entry in SUITE.datasets], options.table
    )
    lines = [HEAD, "|---" * 8 + "|"]
    for dataset in options.datasets:
        portfolio = learnt_without(dataset, known_data, candidates)
        tables = [
            replace(table, portfolio=portfolio) for table in tables_of(dataset, options.table)
        ]
        turns = [tables[n % len(tables)] for n in range(options.replays)]
        lists = [
            listed(SEARCHERS[OURS](turn.fresh(), n, options.budget), turn)
            for n, turn in enumerate(turns)
        ]
        all_places = sorted({place for places in lists for place in places})
        truth = Truth(trained(dataset, tables[0], all_places, seeds, options), all_places)
        results = pd.DataFrame(
            [replay(truth.fresh, places, truth, n) for n, places in enumerate(lists)]
        )
        if options.more:
            rivals = contenders(results, truth)
            values = heads_of(
                trained(dataset, tables[0], rivals, MORE[: options.more], options), rivals
            )
            results["heads"] = [
                best_head(values).mean() - values[:, rivals.index(place)].mean()
                for place in results["head"]
            ]
            print(
                {
                    place: (merits.mean(), merits.std(ddof=1))
                    for place, merits in zip(rivals, values.mean(axis=0), strict=True)
                }
            )
        heads, served = (
            (
                f"{results[name].median():.{d}f}, {results[name].quantile(0.9):.{d}f}, "
                f"{(results[name] <= AIMS[name]).mean():.0%}"
            )
            for name, d in (("heads", 5), ("served", 4))
        )
        if dataset not in GENERATED:
            by_fold = np.mean(np.stack(results["folds"]), axis=0)
            heads += f"; {by_fold.mean():.5f} ± {by_fold.std(ddof=1) / np.sqrt(FOLDS):.5f}"
        parts = " | ".join(f"{(results['said'] == answer).mean():.0%}" for answer in SAYS)
        answers = results["right"].dropna()
        lines.append(
            f"| {dataset} | {heads} | {served} | {parts} | {int(answers.sum())} of {len(answers)} |"
        )
        print(
            (
                f"{results.drop(columns='folds').to_string()}\n{len(all_places)} places on {len(seeds)} "
                f"fresh seeds\n{lines[-1]}"
            ),
            flush=True,
        )
    if options.write:
        replace_table(options.write, "picks", "\n".join(lines))


if __name__ == "__main__":
    main()
