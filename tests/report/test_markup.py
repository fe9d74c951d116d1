"""Words can be read in light and in dark; a kind of model has one colour and one mark."""

from __future__ import annotations

import pytest

from bench.core.records import TRAINED
from bench.models.config import PRESETS
from bench.models.sharing import SHARING
from bench.report.markup import COLOURS, KINDS, looks_of


def luminance(colour: str) -> float:
    """Of WCAG 2."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [0, 1])
@pytest.mark.parametrize("role", ["text", "muted", "accent", "good", "loss"])
def test_words_can_be_read(role: str, dark: int) -> None:
    for ground in ("surface", "raised"):
        low, high = sorted(luminance(COLOURS[each][dark]) for each in (role, ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_kind_looks_alike_in_all_runs() -> None:
    """Those that the project has, baselines included, by a list; those of plug-ins by their names."""
    ours = {*SHARING, *PRESETS, *TRAINED, "logged score", "composite"}
    assert ours <= set(KINDS)
    assert len(set(looks_of(KINDS).values())) == len(KINDS)
    assert looks_of(["mmoe", "mine"]).items() <= looks_of([*KINDS, "mine"]).items()
    assert len(set(looks_of(f"kind {i}" for i in range(35)).values())) == 35
    assert len(looks_of(f"kind {i}" for i in range(90))) == 90
