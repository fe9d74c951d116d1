"""`docs/zoo.md` is what the registries and the published tables say."""

from __future__ import annotations

import pytest
from guide import COMMAND, document
from published import ROOT, Seen, comparisons, experiments, measured_costs, tables
from zoo_cost import PLAIN

from bench.training.config import AXES


@pytest.mark.slow
def test_the_guide_is_what_the_registries_say() -> None:
    written = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    assert written == document(), f"docs/zoo.md is no longer what the registries say; remake it: {COMMAND}"


@pytest.mark.slow
def test_the_guide_has_every_entry_with_its_paper_and_options() -> None:
    text = document()
    for registry in AXES.values():
        for kind, entry in registry.items():
            section = text.split(f"\n### `{kind}`\n")[1].split("\n### ")[0]
            assert entry.paper in section or entry.paper == "-", kind
            assert "* In our runs: " in section
            for option in entry.config.model_fields:
                assert f"| `{option}` | `" in section, f"{kind}: {option}"


def test_published_tables_are_counted() -> None:
    """Against the tables of reports/quick and docs/costs.md, counted by eye."""
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n\nno table | here\n"
    assert list(tables(text)) == [[{"a": "1", "b": "2"}]]
    points = [({"sharing": "mmoe"}, True, 0.5, False), ({"sharing": "ple"}, False, 0.2, True)]
    seen = Seen("s", {"sharing": {"mmoe", "ple", "home"}}, points)
    assert "1 of the 2 confirmed points" in str(seen.of("sharing", "mmoe"))
    assert "1 of them on the front, P(non-dominated) up to 0.50" in str(seen.of("sharing", "mmoe"))
    assert "0 of them on the front, one of them picked" in str(seen.of("sharing", "ple"))
    assert "none of its 2" in str(seen.of("sharing", "home"))
    assert seen.of("sharing", "stem") is None
    assert "quick" in {run.suite for run in comparisons()}
    costs = measured_costs()
    assert "times (MMoE) what it takes under `static`, with 2 tasks" in costs["balancing", "pcgrad"]
    assert "with 3 tasks" in costs["balancing", "krum"]
    for axis, registry in AXES.items():
        assert {kind for of, kind in costs if of == axis} == set(registry) - {PLAIN[axis]}, "remake docs/costs.md"
    assert "relatedness.md" in experiments()["mmoe"]
