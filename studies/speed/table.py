"""The tables of a document, replaced in place."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.system.atomic import write_text

NAMES = {"shared_bottom": "Shared-Bottom", "esmm": "ESMM", "mmoe": "MMoE", "ple": "PLE"}
HEADER = (
    "| | system | training, samples/s | × | evaluation, samples/s | × | AUC click | AUC buy | "
    "peak memory, MB |\n|---|---|---|---|---|---|---|---|---|"
)


def markdown(document: dict[str, Any]) -> str:
    """The table of a benchmark's document: medians and ranges, mean AUC and its deviation over
    seeds.

    × is ours over that system's, by the medians; bold is the ratio to the fastest library, by
    rounds.
    """
    lines = [_conditions(document), "", HEADER]
    for architecture, systems in document["systems"].items():
        seesaw = systems.get("seesaw")
        for name, measures in systems.items():
            cells = [NAMES[architecture], name]
            for field, ratio in (
                ("train_samples_per_s", "ratio_to_fastest_peer"),
                ("eval_samples_per_s", "evaluation_ratio"),
            ):
                value = measures[field]
                cells.append(
                    f"{value['median']:,.0f} ({value['least']:,.0f} to {value['most']:,.0f})"
                )
                if name != "seesaw":
                    cells.append(
                        f"{seesaw[field]['median'] / value['median']:.1f}" if seesaw else ""
                    )
                else:
                    cells.append(_ratio(document, ratio, architecture))
            cells += [_auc(measures["auc"][task]) for task in ("click", "buy")]
            cells.append(f"{measures['peak_memory_mb']['median']:,.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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
        return ""
    lowest, highest = document[f"{name}_range"][architecture]
    return f"**{document[name][architecture]:.1f}** ({lowest:.1f} to {highest:.1f})"


def _auc(value: dict[str, float | None]) -> str:
    deviation = value["deviation"]
    return f"{value['mean']:.4f}" + (f" ± {deviation:.4f}" if deviation is not None else "")


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
