"""What published tables say of registry entries: suites' confirmed points, measured costs, experiments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import content
from bench.data import load_card
from bench.data.shape import shape_of
from bench.models.presets import PRESETS
from bench.search import tree as trees
from bench.search.fitting import fitting
from bench.search.nodes import Switch
from bench.search.space import load_space
from bench.suite import load_suite

ROOT = Path(__file__).parents[2]
ALONE = "single_task"  # its table cell under balancing says nothing: there is nothing to balance


@dataclass(frozen=True)
class Seen:
    """A published run.

    Attributes:
        searched: kinds that its space had on its data, by axis.
        points: of each confirmed point its kind by axis, and whether it is on the front, P(non-dominated) and picked.
    """

    suite: str
    searched: dict[str, set[str]]
    points: list[tuple[dict[str, str], bool, float, bool]]

    def of(self, axis: str, kind: str) -> str | None:
        """What it says of a kind, None where that was not searched."""
        if kind not in self.searched.get(axis, set()):
            return None
        link = f"[{self.suite}](../reports/{self.suite}/README.md)"
        mine = [point for point in self.points if point[0].get(axis) == kind]
        if not mine:
            return f"searched in {link}, and none of its {len(self.points)} confirmed points"
        front = sum(on_front for _, on_front, _, _ in mine)
        best = max(probability for _, _, probability, _ in mine)
        picked = ", one of them picked" if any(picked for *_, picked in mine) else ""
        return (
            f"{len(mine)} of the {len(self.points)} confirmed points of {link}, {front} of them on the front{picked}, "
            f"P(non-dominated) up to {best:.2f}"
        )


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """The tables of a document, each as rows by column."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.M):
        head, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        yield [dict(zip(head, row, strict=False)) for row in rows]


def comparisons() -> list[Seen]:
    """Every suite whose README has a table of confirmed points."""
    found = []
    for suite in content.names("reports"):
        readme = content.root("reports") / suite / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        rows = [row for table in tables(text) for row in table if {"architecture", "P(non-dominated)"} <= set(row)]
        if rows:
            picked = set(re.findall(r"^Trial (\d+) .*is picked", text, re.M))
            found.append(Seen(suite, _searched(suite), [_point(row, picked) for row in rows]))
    return found


def _point(row: dict[str, str], picked: set[str]) -> tuple[dict[str, str], bool, float, bool]:
    sharing, _, funnel = row["architecture"].partition("+")
    preset = PRESETS.get(row["architecture"], {"sharing.kind": sharing, "funnel.kind": funnel})
    kinds = {axis: preset[f"{axis}.kind"] for axis in ("sharing", "funnel")}
    if kinds["sharing"] != ALONE:
        kinds["balancing"] = row["balancing"]
    trial = row["trial"].strip("*")
    return kinds, row["trial"].startswith("**"), float(row["P(non-dominated)"]), trial in picked


def _searched(name: str) -> dict[str, set[str]]:
    suite = load_suite(name)
    searched: dict[str, set[str]] = {}
    for dataset in suite.datasets:
        schema = shape_of(load_card(dataset.id), dataset.tasks)
        space = fitting(load_space(suite.space).restricted(suite.set), schema).space
        for switch, node, _ in trees.walk(space.tree):
            if isinstance(node, Switch):
                searched.setdefault(switch.removesuffix(".kind"), set()).update(node.branches)
    return searched


def measured_costs() -> dict[str, str]:
    """By balancer, what `balancing_cost.py` measured with two tasks."""
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    marked = re.search(r"<!-- balancing -->\n(.*?)<!-- /balancing -->", text, re.S)
    rows = [row for table in tables(marked[1] if marked else "") for row in table if row["tasks"] == "2"]
    costs = {}
    for kind in [key for key in (rows[0] if rows else {}) if key not in ("", "tasks")]:
        of_models = ", ".join(f"{row[kind].split()[0]} ({row['']})" for row in rows)
        costs[kind] = f"measured with 2 tasks, as a multiple of a plain step: {of_models}"
    return costs


def experiments() -> dict[str, list[str]]:
    """By entry, the documents with a table that has it for a cell; measurements of speed are none."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "docs").glob("*.md")):
        if path.name in ("zoo.md", "performance.md"):
            continue
        for table in tables(path.read_text(encoding="utf-8")):
            names = {*(table[0] if table else {}), *(cell for row in table for cell in row.values())}
            for name in names:
                documents = found.setdefault(name.strip("`*"), [])
                if path.name not in documents:
                    documents.append(path.name)
    return found
