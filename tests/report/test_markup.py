"""Words can be read in light and in dark, and looks differ."""

from __future__ import annotations

import pytest

from bench.report.markup import COLOURS, looks_of


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


def test_looks_differ_and_known_ones_stay() -> None:
    found = looks_of(f"kind {i}" for i in range(50))
    assert len(set(found.values())) == 50
    assert looks_of(["mmoe"])["mmoe"] == looks_of(["ple", "mmoe", "esmm"])["mmoe"]
