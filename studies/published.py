"""What published tables say of registry entries: the reference, measured costs, experiments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from inputs import FIRST
from publish import objectives_of
from reference.answers import standings
from reference.members import Member, gather
from zoo_cost import PLAIN

from bench.app.reference.cells import ALONE, COMPOSITE, SINGLE_TASK
from bench.app.reference.design_runs import published
from bench.app.reference.table import read
from bench.app.runs.suite import load_suite
from bench.core.errors import count

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "docs" / "studies"
LEADS = ROOT / "reports" / "inputs" / "leads.csv"
LEADS_OF = "inputs-tables.md"
"""The document that the leads of `LEADS` belong to."""
LOWER_IS_BETTER = (".rmse", ".mae", ".decile_error")


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """The tables of a document, each as rows by column."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.M):
        head, _, *rows = [
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in block.splitlines()
        ]
        yield [dict(zip(head, row, strict=False)) for row in rows]


def reference() -> dict[tuple[str, str], str]:
    """By axis and kind, what the published reference says: on how many data sets it is likely on
    the front of heads.
    """
    suite = load_suite("reference")
    references = {dataset.id: dataset.reference for dataset in suite.datasets}
    data = gather(read(published("reference")), objectives_of(suite), references)
    sentences = {}
    for axis, default in (("sharing", ""), ("balancing", "static")):

        def kind_of(member: Member, axis: str = axis, default: str = default) -> str:
            if member.sharing == ALONE:
                return (
                    SINGLE_TASK
                    if axis == "sharing" and member.balancing in (SINGLE_TASK, COMPOSITE)
                    else ""
                )
            return str(member.config.get(f"{axis}.kind", default))

        chances_by_kind: dict[str, list[float]] = {}
        for standing in standings(data, kind_of):
            chances_by_kind.setdefault(standing.method, []).append(standing.p_front)
        for kind, chances in chances_by_kind.items():
            likely = sum(chance > 0.5 for chance in chances)
            sentences[axis, kind] = (
                f"[the reference](studies/reference.md): {likely} of "
                f"{count(len(chances), 'front')}, {max(chances):.2f}"
            )
    return sentences


def ablations() -> dict[str, list[str]]:
    """By entry, in how many outcomes of a document's tables it was surely better or worse than
    their first variant.
    """
    tallies: dict[tuple[str, str, str], list[int]] = {}
    counted = set()  # some tables of a document repeat rows of another
    for document, document_rows in _rows_with_leads():
        for row in document_rows:
            title = next(iter(row))
            base = re.search(r", ahead of `(.+?)`", title)
            for outcome, cell in row.items() if base is not None else ():
                measure = outcome.partition(",")[0]
                if measure.endswith(".pcoc"):  # best at 1: a lead is neither better nor worse
                    continue
                key = (row[title], title, outcome, document)
                if (bounds := re.search(r"\((\S+) to (\S+)\)", cell)) and key not in counted:
                    counted.add(key)
                    tally = tallies.setdefault((row[title], base[1], document), [0, 0, 0])
                    low, high = float(bounds[1]), float(bounds[2])
                    if measure.endswith(LOWER_IS_BETTER):
                        low, high = -high, -low
                    tally[0 if low > 0 else 1 if high < 0 else 2] += 1
    by_variant: dict[str, list[str]] = {}
    for (variant, base, name), (better, worse, rest) in tallies.items():
        if variant == FIRST:  # there it is the plain model, and no way to read numbers
            continue
        than = (
            "" if base == FIRST else f" than a model {base}" if " " in base else f" than `{base}`"
        )
        by_variant.setdefault(variant, []).append(
            f"[{name}](studies/{name}): better{than} in {better}, worse in {worse} of "
            f"{count(better + worse + rest, 'outcome')}"
        )
    return by_variant


def _rows_with_leads() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The rows of tables by document; those of the leads' file belong to `LEADS_OF`."""
    for path in sorted(STUDIES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        rows = [row for table in tables(text) for row in table]
        if path.name == LEADS_OF:
            leads = pd.read_csv(LEADS, dtype=str).dropna(subset="low")
            rows += [
                {
                    f"{lead.data}, ahead of `{lead.against}`": lead.variant,
                    lead.outcome: f"{lead.lead} ({lead.low} to {lead.high})",
                }
                for lead in leads.itertuples()
            ]
        yield path.name, rows


def measured_costs() -> dict[tuple[str, str], str]:
    """By axis and kind, what `zoo_cost.py` measured."""
    text = (STUDIES / "costs.md").read_text(encoding="utf-8")
    costs = {}
    for axis, plain in PLAIN.items():
        for row in table_at(text, axis):
            cells = {
                name: cell.split()[0] for name, cell in row.items() if name not in (axis, "tasks")
            }
            named = [
                cell + (f" ({name})" if name != "step" else "") for name, cell in cells.items()
            ]
            costs[axis, row[axis].strip("`")] = f"{', '.join(named)} times `{plain}`"
    return costs


def table_at(text: str, mark: str) -> list[dict[str, str]]:
    """The rows of the table between `<!-- mark -->` and `<!-- /mark -->`."""
    marked = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", text, re.S)
    return next(tables(marked[1] if marked else ""), [])


def experiments() -> dict[str, list[str]]:
    """By entry, the documents with a table of measurements that has it for a cell; those of speed
    are none.
    """
    by_entry: dict[str, list[str]] = {}
    for path in sorted(STUDIES.glob("*.md")):
        if path.name in ("performance.md", "full-scale.md", "costs.md", "statistics.md"):
            continue
        for table in tables(path.read_text(encoding="utf-8")):
            names = {
                *(table[0] if table else {}),
                *(cell for row in table for cell in row.values()),
            }
            for name in names:
                documents = by_entry.setdefault(name.strip("`*"), [])
                if path.name not in documents:
                    documents.append(path.name)
    return by_entry
