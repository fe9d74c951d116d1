"""The tables of a document, replaced in place."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.system.atomic import write_text
from speed.summary import LIBRARIES, OURS

NAMES = {"shared_bottom": "Shared-Bottom", "esmm": "ESMM", "mmoe": "MMoE", "ple": "PLE"}
SHOWN = (OURS, *LIBRARIES)
"""Systems whose AUC and memory the table has, in this order."""
FUSED = "deepctr-torch, fused Adam"
HEADER = (
    "| | training, samples/s | × | × with fused Adam | evaluation, samples/s | × | AUC click | "
    "AUC buy | peak memory, MB |\n|---|---|---|---|---|---|---|---|---|"
)


def markdown(document: dict[str, Any]) -> str:
    """The table of a benchmark's document: a row for each architecture. Samples a second are ours.

    × is ours over the fastest library, by rounds, with its range; with fused Adam, by the medians.
    AUC and memory are those of `SHOWN`.
    """
    lines = [_conditions(document), "", HEADER]
    for architecture, systems in document["systems"].items():
        lines.append(f"| {' | '.join(_cells(document, architecture, systems))} |")
    return "\n".join(lines)


def _cells(
    document: dict[str, Any], architecture: str, systems: dict[str, dict[str, Any]]
) -> list[str]:
    """A row; what was not measured has a dash."""
    training, evaluation = (
        f"{systems[OURS][field]['median']:,.0f}" if OURS in systems else "–"
        for field in ("train_samples_per_s", "eval_samples_per_s")
    )
    fused = "–"
    if OURS in systems and FUSED in systems:
        ours, theirs = (systems[name]["train_samples_per_s"]["median"] for name in (OURS, FUSED))
        fused = f"{ours / theirs:.1f}"
    shown = [systems[name] for name in SHOWN if name in systems]
    return [
        NAMES[architecture],
        training,
        _ratio(document, "ratio_to_fastest_peer", architecture),
        fused,
        evaluation,
        _ratio(document, "evaluation_ratio", architecture),
        *(
            ", ".join(f"{measures['auc'][task]['mean']:.4f}" for measures in shown)
            for task in ("click", "buy")
        ),
        ", ".join(f"{measures['peak_memory_mb']['median']:,.0f}" for measures in shown),
    ]


def writer(about: str | None) -> ArgumentParser:
    """The options of a script that makes tables: its description, and `--write` for the document
    that has them.
    """
    parser = ArgumentParser(description=about, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="put what is made into this document")
    return parser


def simulation(about: str | None, name: str, runs: int, make: Callable[[int], str]) -> None:
    """A script whose table is made of `--runs` runs for each line: prints it, and puts it into a
    document.
    """
    parser = writer(about)
    parser.add_argument("--runs", type=int, default=runs, help="of each line")
    options = parser.parse_args()
    text = make(options.runs)
    print(text)
    replace(options.write, name, text)


def replace(path: Path | None, name: str, text: str) -> None:
    """Puts the text between `<!-- name -->` and `<!-- /name -->` of a document, if one is given.

    Raises:
        SystemExit: the document has no such place.
    """
    if path is None:
        return
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    document = path.read_text(encoding="utf-8")
    if document.count(start) != 1 or document.count(end) != 1:
        raise SystemExit(f"expected one place marked {start.strip()} .. {end} in {path}")
    before, rest = document.split(start)
    write_text(path, before + start + text + "\n" + end + rest.split(end)[1])


def _ratio(document: dict[str, Any], name: str, architecture: str) -> str:
    if architecture not in document[name]:
        return "–"
    lowest, highest = document[f"{name}_range"][architecture]
    return f"{document[name][architecture]:.1f} ({lowest:.1f} to {highest:.1f})"


def _conditions(document: dict[str, Any]) -> str:
    data, machine = document["data"], document["machine"]
    return (
        f"{data['rows']:,} rows of train, {data['eval_rows']:,} of evaluation, {data['ids']:,} ids "
        f"in {data['fields']} fields; {document['epochs']:g} epochs in batches of "
        f"{document['batch']:,}; {document['threads']} threads of {machine['processor']}, our "
        f"products in {document['precision']}; {document['repeats']} rounds, a seed each. "
        f"Preparing the data took {data['prepare_seconds']:.1f} s, once. Load of the machine "
        f"before and after: {machine['load_before']:.1f} and {machine['load_after']:.1f}; "
        f"{', '.join(f'{name} {version}' for name, version in document['versions'].items())}."
    )
