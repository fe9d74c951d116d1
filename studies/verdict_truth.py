"""Whether the verdicts of `quick` on a log of yours are true: small logs are drawn from it, and the
rest is the truth.

    python studies/verdict_truth.py LOG.csv --label A --label B --group REQUEST --time T --keep
    FOLDER
        [--parts 8] [--fresh 8]

The groups of the log are assigned at random to `--parts` small logs. Each gets a card by `seesaw
card` and a run of `quick`, as a user's own log would. A second run has the same rows of train,
validation and confirmation. So by the same seed it has the same trials and the same pick. Its test
has the rows of all small logs in that time. There `--fresh` further seeds of the pick and of the
current point are the truth: the verdict saw none of these seeds, and one in `--parts` of these
rows. FOLDER keeps the runs; a run that is there is not repeated.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.api import load_run
from bench.app.runs.ranked import candidates_of
from bench.app.runs.result import DatasetResult
from bench.app.runs.suite import load_suite
from bench.core.rows import TEST
from bench.ledger.effect import Effect, percent
from bench.ledger.fusion import Fusion
from bench.ledger.ledger import fractions_over
from bench.ledger.served.measuring import Meter
from bench.measure.predictions import FOLDER, read_rows

SEED = 1
RUN = "quick"


@dataclass(frozen=True)
class Told:
    """One small log: what its verdict said, and what is true, by outcome and by the policy's
    rule.
    """

    first: str
    changes: Mapping[str, Effect]
    true: tuple[float, ...]
    worth: Effect
    true_worth: float


def seesaw(folder: Path, *arguments: str) -> None:
    """A command in a folder, whose home is there too."""
    with (folder / "said.txt").open("a") as log:
        subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            cwd=folder,
            check=True,
            stdout=log,
            stderr=log,
        )


def make(options: argparse.Namespace, part: int, logs: list[pd.DataFrame]) -> tuple[Path, Path]:
    """The runs of one small log: by its own rows of test, and by those of all."""
    small, whole = (options.keep / f"{name}{part}" for name in ("own", "all"))
    for folder in (small, whole):
        folder.mkdir(parents=True, exist_ok=True)
    if not (small / "card.toml").exists():
        logs[part].to_csv(small / "log.csv", index=False)
        labels = [text for label in options.label for text in ("--label", label)]
        columns = ("--group", options.group, "--time", options.time)
        seesaw(small, "data", "card", "log.csv", *labels, *columns)
    if not (small / ".seesaw/runs" / RUN).exists():
        seesaw(small, "run", "quick", "--dataset", "card.toml", "--name", RUN)
    if not (whole / "card.toml").exists():
        text = (small / "card.toml").read_text()
        first = tomllib.loads(text)["split"]["test"]["first"]
        rest = pd.concat([log for number, log in enumerate(logs) if number != part])
        pd.concat([logs[part], rest[rest[options.time] >= first]]).to_csv(
            whole / "log.csv", index=False
        )
        (whole / "card.toml").write_text(text)
    if not (whole / ".seesaw/runs" / RUN).exists():
        seesaw(whole, "run", "quick", "--dataset", "card.toml", "--name", RUN)
    seesaw(
        whole,
        "confirm",
        RUN,
        "--replicates",
        str(load_suite("quick").confirm.replicates + options.fresh),
    )
    return small, whole


def result_of(folder: Path) -> DatasetResult:
    """A run's result."""
    return load_run(RUN, folder / ".seesaw").found


def told(own_folder: Path, whole: Path) -> Told:
    """What the verdict of the small log said, and the truth on the other run's fresh seeds."""
    small, large = result_of(own_folder), result_of(whole)
    served, pick = small.decision.serving.served, small.decision.pick
    assert served is not None
    assert pick is not None
    verdict, aim = small.decision.verdict, small.decision.serving.aims[0]
    folder = large.run.folder / FOLDER
    rows = read_rows(folder, TEST)
    assert rows is not None
    points = {
        model.id: model
        for model in candidates_of(folder, large.decision.frontier.points, large.objectives, rows)
    }
    used_seeds = {
        run.seed
        for run in next(p for p in small.decision.frontier.points if p.id == pick.point).replicates
    }
    values = []
    for row in (served.current, pick.row if verdict.row is None else verdict.row):
        facts = served.table.iloc[row]
        candidate, fusion = (
            points[facts["point"]],
            Fusion.of(facts["kind"], list(facts["weights"].values())),
        )
        swept = Meter(
            [candidate], rows, TEST, [measure.name for measure in served.measures], 0
        ).sweep([fusion])[0][:, 0]
        values.append(swept[[seed not in used_seeds for seed in candidate.seeds]].mean(axis=0))
    true, nothing = fractions_over(np.array(values), 0), Effect(0.0, 0.0, 0.0)
    changes = verdict.changes or dict.fromkeys(served.names, nothing)
    worth = verdict.both.utility if verdict.both else nothing
    return Told(
        verdict.told[0].removesuffix("."),
        changes,
        tuple(true[1]),
        worth,
        float(aim.fraction(aim.score(values[1], values[0]))),
    )


def table(logs: list[Told]) -> str:
    """A row for each small log, and what came of all of them."""
    names = list(logs[0].changes)
    lines = [
        f"| log | {' | '.join(names)} | all in all | the answer |",
        "|---" * (len(names) + 3) + "|",
    ]
    for number, log in enumerate(logs, 1):
        cells = [_cell(*pair) for pair in zip(log.changes.values(), log.true, strict=True)]
        cells.append(_cell(log.worth, log.true_worth))
        lines.append(f"| {number} | {' | '.join(cells)} | {log.first} |")
    # not the current point itself
    logs = [log for log in logs if any(effect.low < effect.high for effect in log.changes.values())]
    pairs = [pair for log in logs for pair in zip(log.changes.values(), log.true, strict=True)]
    covered = sum(effect.low <= true <= effect.high for effect, true in pairs)
    gained = [true > 0 for effect, true in pairs if effect.gained]
    lost = [true < 0 for effect, true in pairs if effect.lost]
    scores = [(log.worth, log.true_worth) for log in logs]
    held_scores = sum(worth.low <= true <= worth.high for worth, true in scores)
    surely = [true > 0 for worth, true in scores if worth.gained]
    summary = (
        f"Intervals hold {covered} of {len(pairs)} true changes, and {held_scores} of {len(scores)} "
        f"true scores. A gain that was said is true in {sum(gained)} of {len(gained)} cases, a "
        f"cost in {sum(lost)} of {len(lost)}, a gain all in all in {sum(surely)} of {len(surely)}."
    )
    return "\n".join([*lines, "", summary])


def _cell(effect: Effect, true: float) -> str:
    return f"{effect}; {percent(true)}%"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", type=Path)
    parser.add_argument("--label", action="append", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument(
        "--time", required=True, help="as texts in their order, such as 2013-01-01T10:00:00Z"
    )
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--fresh", type=int, default=8)
    options = parser.parse_args()
    log = pd.read_csv(options.log, dtype=str, keep_default_na=False)
    groups = log[options.group].drop_duplicates().sample(frac=1, random_state=SEED).tolist()
    part_of = log[options.group].map(
        {group: number * options.parts // len(groups) for number, group in enumerate(groups)}
    )
    logs = [log[part_of == part] for part in range(options.parts)]
    verdicts = [told(*make(options, part, logs)) for part in range(options.parts)]
    print(table(verdicts))


if __name__ == "__main__":
    main()
