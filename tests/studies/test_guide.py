"""`docs/zoo.md` is what the registries and the published tables say."""

import pytest
from guide import COMMAND, choices, document
from published import ROOT, experiments, measured_costs, tables
from zoo_cost import PLAIN

from bench.models.training.config import AXES


@pytest.mark.slow
def test_the_guide_is_what_the_registries_say():
    written = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    assert written == document(), (
        f"docs/zoo.md is no longer what the registries say; remake it: {COMMAND}"
    )


def test_the_guide_begins_with_every_choice():
    assert choices() in (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8"), (
        f"remake docs/zoo.md: {COMMAND}"
    )


def test_published_tables_are_counted():
    """Against docs/studies/costs.md, counted by eye."""
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n\nno table | here\n"
    assert list(tables(text)) == [[{"a": "1", "b": "2"}]]
    costs = measured_costs()
    assert "(MMoE) times `static`" in costs["balancing", "pcgrad"]
    for axis, registry in AXES.items():
        assert {kind for key_axis, kind in costs if key_axis == axis} <= set(registry) - {
            PLAIN[axis]
        }
    assert "relatedness.md" in experiments()["mmoe"]
