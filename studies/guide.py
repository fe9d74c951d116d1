"""The guide to every entry of the registries: what it does, its options, its cost, its paper, what
our runs saw of it.

    python studies/guide.py [--write docs/zoo.md]

All of it is read: from the registries, from published tables under `reports/` and `docs/studies/`.
Nothing is trained.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo_cost
from published import ablations, experiments, measured_costs, reference

from bench.core.registry import Entry
from bench.core.schema import Field, Schema, Task
from bench.core.system import content
from bench.core.system.atomic import write_text
from bench.data import load_card
from bench.data.card_summary import shape_of
from bench.models.balancing.base import (
    NEEDS,
    Balancer,
    GradientAggregation,
    GradientCombination,
    LossWeighting,
)
from bench.models.contracts import Layout, Sharing
from bench.models.training.config import AXES
from bench.search.executors import EXECUTORS
from bench.search.samplers import SAMPLERS

COMMAND = "python studies/guide.py --write docs/zoo.md"
HEAD = f"""# Every way of sharing, every funnel, every loss, every balancer

All choices combine freely. Set one as `--set sharing.kind=mmoe`, its options as `--set sharing.mmoe.experts=8`.
`seesaw list spaces wide` shows the ranges in which a search tries them.

{{choices}}

Below, each entry has what it does, its options, its paper, its cost, and what our runs saw of it:

* **Cost**: parameters by its defaults, for 2 tasks on 160 inputs; then the time of a step with 2 tasks, as a multiple
  of a plain entry's, before Shared-Bottom and before MMoE, on one machine ([costs.md](studies/costs.md)).
* **In our runs**: on how many fronts of [the reference](studies/reference.md) it is likely, with its largest
  probability. Then in how many outcomes of a study it was surely better or worse than the plain Shared-Bottom, or than
  what is named.
  "Surely" means that the paired 90% interval excludes 0.

`{COMMAND}` makes this page from the registries, the published runs and the
measured tables. A test fails where they differ.
"""
TITLES = {
    "numeric": "Numbers",
    "sequence": "Histories",
    "sharing": "Sharing",
    "funnel": "Funnels",
    "loss": "Losses of binary tasks",
    "regression_loss": "Losses of regressions",
    "balancing": "Balancing",
}
INTRODUCTIONS = {
    "balancing": """
A loss weighting takes one backward pass, as fixed weights do. A gradient aggregation takes one for each task through
what tasks share. A gradient combination also passes over the gradients.

Gradient balancers look at the tasks' gradients at the representation (the embedding output) and on the shared dense
parameters, not on the tables. Public code looks at all shared parameters. On Census-Income the cosine at the
representation correlates with that on the table's rows by 0.68 under `shared_embeddings` and by -0.36 under `mmoe`, and
is below 0 in 46% of steps against 37% and 31%. `seesaw diagnose` shows both places.

With two tasks some are one direction: `pcgrad` and `upgrad`; `nash_mtl`, `imtl_g`, `conflict_free`, and `fairgrad` with
alpha = 1. Such entries differ by chance alone.
"""
}
PASSES = {
    LossWeighting: "a loss weighting",
    GradientAggregation: "a gradient aggregation",
    GradientCombination: "a gradient combination",
}
SEVERAL = 3
"""Entries that have an option alike, for it to be explained once."""
FEW = 2
"""Data sets that a sentence lists by name."""
FIELDS = (Field("scenario", 11), *(Field(f"f{n}", 100) for n in range(9)))
PLAIN = Layout(Schema(FIELDS, (), (Task("a"), Task("b")), scenario="scenario"), 16)


def document() -> str:
    """The whole page."""
    runs, costs, documents, against = reference(), measured_costs(), experiments(), ablations()
    parts = [HEAD.format(choices=choices())]
    for axis, registry in AXES.items():
        common = _common(registry)
        parts.append(f"## {TITLES.get(axis, axis.capitalize())}\n" + INTRODUCTIONS.get(axis, ""))
        if common:
            parts.append("\n".join(["Options of several:", "", *_table(common)]) + "\n")
        for kind, entry in registry.items():
            results = [runs[axis, kind]] if (axis, kind) in runs else []
            results += against.get(kind, [])
            further = [
                name
                for name in documents.get(kind, [])
                if not any(f"(studies/{name})" in line for line in results)
            ]
            if not results and not further:
                plain = zoo_cost.PLAIN.get(axis) == kind
                results = [
                    "the others of this axis are compared with it" if plain else "not yet compared"
                ]
            parts.append(_entry(kind, entry, common, costs.get((axis, kind)), results, further))
    return "\n".join(parts)


def choices() -> str:
    """The names of all entries, by axis."""
    scenario, plain = [], []
    for kind, entry in AXES["sharing"].items():
        (scenario if entry.build.by_scenario else plain).append(kind)
    rows = {
        "sharing": f"{_named(plain)} · by scenario {_named(scenario)}",
        "funnel": _named(AXES["funnel"]),
    }
    rows["loss"] = f"{_named(AXES['loss'])}; of regressions {_named(AXES['regression_loss'])}"
    rows["numbers"], rows["history"] = _named(AXES["numeric"]), _named(AXES["sequence"])
    rows["interaction before sharing"] = _named(AXES["interaction"])
    rows["ensemble"] = "`ensemble.members`: 1, or more that share all weights but for small vectors"
    balancers = AXES["balancing"].items()
    rows["balancing"] = " · ".join(
        _named(kind for kind, entry in balancers if issubclass(entry.build, base))
        for base in PASSES
    )
    rows |= {"sampler": _named(SAMPLERS), "executor": _named(EXECUTORS)}
    return "\n".join(
        [
            "| axis | choices |",
            "|---|---|",
            *(f"| {axis} | {names} |" for axis, names in rows.items()),
        ]
    )


def _named(kinds: Iterable[str]) -> str:
    return " ".join(f"`{kind}`" for kind in kinds)


def _options(entry: Entry[Any]) -> list[tuple[str, str, str]]:
    """Name, default and meaning of each."""
    default = entry.config().model_dump(mode="json")
    return [
        (name, json.dumps(default[name]), _escaped(" ".join((option.description or "").split())))
        for name, option in entry.config.model_fields.items()
    ]


def _common(registry: Mapping[str, Entry[Any]]) -> list[tuple[str, str, str]]:
    """Options that at least three entries have alike, except those whose name has two such
    meanings.
    """
    counts = Counter(option for entry in registry.values() for option in _options(entry))
    common = [option for option, times in counts.items() if times >= SEVERAL]
    names = Counter(name for name, *_ in common)
    return [option for option in common if names[option[0]] == 1]


def _table(options: Iterable[tuple[str, str, str]]) -> list[str]:
    rows = [f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in options]
    return ["| option | default | meaning |", "|---|---|---|", *rows] if rows else []


def _entry(
    kind: str,
    entry: Entry[Any],
    common: Sequence[tuple[str, str, str]],
    measured: str | None,
    runs: list[str],
    experiments: list[str],
) -> str:
    lines = [f"### `{kind}`", "", f"{entry.summary[0].upper()}{entry.summary[1:]}.", ""]
    for paragraph in _paragraphs(entry.build):
        lines += [paragraph, ""]
    options = _options(entry)
    if own_options := _table(option for option in options if option not in common):
        lines += [*own_options, ""]
    if shared_options := [name for name, *rest in options if (name, *rest) in common]:
        lines += [f"{'Also' if own_options else 'Options:'} {_named(shared_options)}.", ""]
    if entry.paper != "-" and _escaped(entry.paper) not in " ".join(lines):
        lines.append(f"* Paper: {entry.paper}.")
    if costs := [*_costs(entry), *([measured] if measured else ())]:
        lines.append(f"* Cost: {'; '.join(costs)}.")
    lines += [f"* Departs from public code: {_escaped(entry.departs)}"] if entry.departs else []
    lines += [f"* Left out: {line}." for line in _unfit(entry)]
    runs = [
        *runs,
        *(
            [f"see {', '.join(f'[{name}](studies/{name})' for name in experiments)}"]
            if experiments
            else []
        ),
    ]
    lines.append(f"* In our runs: {'; '.join(runs)}.")
    return "\n".join(lines) + "\n"


def _paragraphs(build: Any) -> Iterator[str]:
    """A docstring's text, without the sections for programmers."""
    for paragraph in (inspect.getdoc(build) or "").split("\n\n"):
        if re.match(r"(Args|Raises|Attributes|Returns|Example):", paragraph):
            return
        yield _escaped(" ".join(paragraph.split()))


def _costs(entry: Entry[Any]) -> Iterator[str]:
    build: Any = entry.build
    if issubclass(build, Sharing):
        module = build.of(PLAIN, 2, entry.config())
        size = sum(parameter.numel() for parameter in module.parameters())
        sets = build.input_sets(2)
        suffix = (
            ", in 10 scenarios"
            if build.by_scenario
            else f", and {sets} embeddings of every id"
            if sets > 1
            else ""
        )
        yield f"{size:,} parameters{suffix}"
    elif issubclass(build, Balancer):
        yield next(text for base, text in PASSES.items() if issubclass(build, base))
        yield from (f"asks for {need}: {NEEDS[need]}" for need in sorted(build.needs))


def _unfit(entry: Entry[Any]) -> Iterator[str]:
    """The built-in data sets that it does not fit, together where the reason is one."""
    reasons: dict[str, list[str]] = {}
    for name in content.names("datasets"):
        if reason := entry.unfit(shape_of(load_card(name))):
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        on = (
            ", ".join(names)
            if len(names) <= FEW
            else f"{len(names)} of {len(content.names('datasets'))} data sets"
        )
        yield f"on {on}: {reason}"


def _escaped(text: str) -> str:
    return re.sub(r"([*|<>])", r"\\\1", text)


def main() -> None:
    """Prints the page or writes it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--write", type=Path, help="the document")
    options = parser.parse_args()
    if options.write:
        write_text(options.write, document())
    else:
        print(document())


if __name__ == "__main__":
    main()
