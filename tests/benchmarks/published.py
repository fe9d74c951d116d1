"""What published tables say of registry entries: suites' confirmed points, measured costs, experiments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo_cost import PLAIN

from bench import content
from bench.data import load_card
from bench.data.card import shape_of
from bench.models.config import PRESETS
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


def measured_costs() -> dict[tuple[str, str], str]:
    """By axis and kind, what `zoo_cost.py` measured."""
    text = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    found = {}
    for axis, plain in PLAIN.items():
        for row in table_at(text, axis):
            cells = {name: cell.split()[0] for name, cell in row.items() if name not in (axis, "tasks")}
            named = [f"{cell} times" + (f" ({name})" if name != "step" else "") for name, cell in cells.items()]
            kind, tasks = row[axis].strip("`"), row["tasks"]
            found[axis, kind] = f"a step takes {' and '.join(named)} what it takes under `{plain}`, with {tasks} tasks"
    return found


def by_defaults() -> dict[str, list[str]]:
    """By sharing, what `sharings.py` measured on each data set."""
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for data, kind, values, gain in (row.values() for row in table_at(text, "sharings")):
        more = f"; over the tasks {gain} against `{ALONE}`" if gain else ""
        found.setdefault(kind.strip("`"), []).append(f"by its defaults on {data}, test AUC: {values}{more}")
    return found


def table_at(text: str, mark: str) -> list[dict[str, str]]:
    """The rows of the table between `<!-- mark -->` and `<!-- /mark -->`."""
    marked = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", text, re.S)
    return next(tables(marked[1] if marked else ""), [])


def experiments() -> dict[str, list[str]]:
    """By entry, the documents with a table that has it for a cell; measurements of speed are none."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "docs").glob("*.md")):
        if path.name in ("zoo.md", "performance.md", "costs.md"):
            continue
        for table in tables(path.read_text(encoding="utf-8")):
            names = {*(table[0] if table else {}), *(cell for row in table for cell in row.values())}
            for name in names:
                documents = found.setdefault(name.strip("`*"), [])
                if path.name not in documents:
                    documents.append(path.name)
    return found
