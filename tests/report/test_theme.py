from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import pytest

from bench.report import theme

# Linear-RGB matrices of full dichromacy (Machado et al., IEEE TVCG 2009), and none.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
LMS += [[0.0883024619, 0.2817188376, 0.6299787005]]
LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
LAB += [[0.0259040371, 0.7827717662, -0.8086757660]]


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson's OKLab, in which distance is seen difference; .02 is just noticeable side by side."""
    return np.array(LAB) @ np.cbrt(np.array(LMS) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_the_first_five_kinds_stay_apart_under_colour_blindness(blindness: str, mode: int) -> None:
    colours = [theme.COLOURS[role][mode] for role in theme.KIND_COLOURS[:5]]
    seen = [oklab(np.array(BLINDNESS[blindness]) @ linear(colour)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.08


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (a, b))
    return float((high + 0.05) / (low + 0.05))


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_the_page(mode: int) -> None:
    colours = {role: both[mode] for role, both in theme.COLOURS.items()}
    for role in ("text", "muted", "accent"):
        assert contrast(colours[role], colours["surface"]) >= 4.5
        assert contrast(colours[role], colours["raised"]) >= 4.5
    for role in ("front", *theme.KIND_COLOURS[:5]):
        assert contrast(colours[role], colours["surface"]) >= 3


def test_each_light_colour_has_one_dark_twin() -> None:
    assert len(theme.dark_twins()) == len(theme.COLOURS)


def test_sixty_kinds_look_different() -> None:
    looks = theme.looks([f"kind_{i}" for i in range(58)] + list(theme.SHARING_ORDER))
    assert len(looks) == 63
    assert len(set(looks.values())) == 63


def test_a_kind_looks_the_same_whatever_stands_beside_it() -> None:
    assert theme.looks(["ple", "mmoe"])["ple"] == theme.looks(["ple", "single_task", "zebra"])["ple"]


def test_known_kinds_come_first_and_others_by_name() -> None:
    assert theme.ordered(["zebra", "mmoe", "ant", "single_task", "mmoe"]) == ("single_task", "mmoe", "ant", "zebra")


@pytest.mark.parametrize("symbol", theme.SYMBOLS)
def test_symbols_are_plotlys(symbol: str) -> None:
    assert go.scatter.Marker(symbol=symbol).symbol == symbol
