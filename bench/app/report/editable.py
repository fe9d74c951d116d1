"""Plots as figures of matplotlib, which people edit: they show what `bench.app.report.picture`
draws, with intervals.

matplotlib is no dependency. Only `Result.figure` imports this module, when it is asked for such a
figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.app.report import text
from bench.app.report.explained import charted
from bench.app.report.markup import COLOURS, KIND_COLOURS, SYMBOLS, looks_of
from bench.app.report.picture import Plane, plane_of
from bench.app.report.section import PageSection
from bench.core.arrays import Floats
from bench.core.rows import SHORT

MARKERS = dict(zip(SYMBOLS.values(), "XsoD^vPp*", strict=True))
"""The path of a symbol of the page -> the marker of matplotlib that looks like it."""
LIGHT = {role: light for role, (light, _) in COLOURS.items()}


class EditableFigure(Figure):  # type: ignore[misc]  # mypy does not look at matplotlib
    """A figure that a notebook shows, whether or not it imported pyplot."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def front_figure(section: PageSection) -> Figure | None:
    """The first front of the section."""
    return plane_figure(section, plane_of(section))


def heads_figure(section: PageSection) -> Figure | None:
    """The front of heads."""
    return plane_figure(section, plane_of(section, section.decision.frontier))


def plane_figure(section: PageSection, plane: Plane | None) -> Figure | None:
    """Points in the first two measures, better to the right and upwards, with the intervals of the
    front.
    """
    if plane is None:
        return None
    figure, axes = _empty(5.2)
    scales = [axis.scale if plane.part == "gain" else 1.0 for axis in plane.axes[:2]]
    if plane.part == "gain":
        axes.axhline(0, color=LIGHT["front"], linewidth=0.8)
        axes.axvline(0, color=LIGHT["front"], linewidth=0.8)
    if len(plane.axes) == 2:
        line = plane.values[plane.front_line] * scales
        axes.plot(line[:, 0], line[:, 1], color=LIGHT["front"], linewidth=1.2, label="front")
    _draw_intervals(axes, plane, scales)
    axes.set_xlim(*_limits(plane, 0, scales[0]))
    axes.set_ylim(*_limits(plane, 1, scales[1]))
    _draw_marks(axes, plane, scales)
    _draw_ring(axes, plane, scales, plane.picked, "pick", "accent")
    if plane.advised != plane.picked:
        _draw_ring(axes, plane, scales, plane.advised, "verdict", "good")
    axes.set_xlabel(_label(plane, 0))
    axes.set_ylabel(_label(plane, 1))
    has_intervals = np.isfinite(plane.high[plane.on] - plane.low[plane.on]).any()
    intervals = ", 90% intervals" if has_intervals else ""
    axes.set_title(f"{section.title}: front on {SHORT[plane.split]}{intervals}", fontsize=11)
    axes.legend(
        fontsize=8, labelspacing=0.9, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False
    )
    return figure


def inputs_figure(section: PageSection) -> Figure | None:
    """What outcomes lose without an input, as bars with intervals."""
    inputs = charted(section.explained)
    if not inputs:
        return None
    outcomes = list(inputs[0]["measures"])
    height = 0.8 / len(outcomes)
    figure, axes = _empty(1.4 + 0.3 * len(inputs) * len(outcomes))
    colours = KIND_COLOURS[1:] * len(outcomes)
    for number, (outcome, colour) in enumerate(zip(outcomes, colours, strict=False)):
        losses = pd.DataFrame([shuffled["measures"][outcome] for shuffled in inputs])
        values = 100 * losses["value"].to_numpy(float)
        below = values - 100 * losses["low"].to_numpy(float)
        above = 100 * losses["high"].to_numpy(float) - values
        axes.barh(
            np.arange(len(inputs)) + (number + 0.5) * height - 0.4,
            values,
            0.9 * height,
            xerr=np.maximum([below, above], 0),
            label=text.label(outcome),
            color=LIGHT[colour],
            ecolor=LIGHT["text"],
            capsize=2,
        )
    axes.set_yticks(range(len(inputs)), [shuffled["name"] for shuffled in inputs])
    axes.invert_yaxis()
    axes.axvline(0, color=LIGHT["front"], linewidth=0.8)
    axes.set_xlabel("lost when the input is shuffled, % (90% intervals)")
    axes.set_title(section.title, fontsize=11)
    axes.legend(fontsize=8)
    return figure


FIGURES: dict[str, Callable[[PageSection], Figure | None]] = {
    "front": front_figure,
    "heads": heads_figure,
    "inputs": inputs_figure,
}
"""By name, as `bench.app.report.picture.PLOTS`; None where there is nothing to draw."""


def _empty(height: float) -> tuple[Figure, Axes]:
    figure = EditableFigure(figsize=(7.5, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=LIGHT["grid"])
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_intervals(axes: Axes, plane: Plane, scales: list[float]) -> None:
    """Of the points on the front and what the verdict advises, where they are known."""
    rows = plane.on
    if plane.advised is not None:
        rows = np.union1d(rows, [plane.advised])
    rows = rows[np.isfinite(plane.low[rows] + plane.high[rows]).all(axis=1)]
    if not len(rows):
        return
    values = plane.values[rows] * scales
    below = np.maximum(values - plane.low[rows] * scales, 0)
    above = np.maximum(plane.high[rows] * scales - values, 0)
    axes.errorbar(
        values[:, 0],
        values[:, 1],
        xerr=[below[:, 0], above[:, 0]],
        yerr=[below[:, 1], above[:, 1]],
        fmt="none",
        ecolor=LIGHT["muted"],
        elinewidth=0.8,
        alpha=0.6,
    )


def _draw_marks(axes: Axes, plane: Plane, scales: list[float]) -> None:
    """A series for each kind of the points on the front, and of those behind it."""
    kinds = np.array(plane.kinds)
    for kind, (role, symbol) in looks_of(plane.kinds).items():
        look = {"color": LIGHT[role], "marker": MARKERS[symbol], "linewidths": 0}
        on, behind = plane.on[kinds[plane.on] == kind], plane.behind[kinds[plane.behind] == kind]
        label = kind.replace("_", " ")
        if kind == "current":
            on, behind = np.concatenate([on, behind]), behind[:0]
            label = plane.against or label
        small = {"s": 22, "alpha": 0.4, "zorder": 3}
        _draw_series(axes, plane.values[behind] * scales, f"{label}, behind", small | look)
        _draw_series(axes, plane.values[on] * scales, label, {"s": 55, "zorder": 4} | look)


def _draw_series(axes: Axes, points: Floats, label: str, look: Mapping[str, object]) -> None:
    """Points (n, 2) out of range are drawn, too: an editor may widen it. The legend omits a series
    that has only such points.
    """
    low_x, high_x = sorted(axes.get_xlim())
    low_y, high_y = sorted(axes.get_ylim())
    across, up = points.T
    inside = (low_x <= across) & (across <= high_x) & (low_y <= up) & (up <= high_y)
    axes.scatter(across, up, label=label if inside.any() else None, **look)


def _draw_ring(
    axes: Axes, plane: Plane, scales: list[float], row: int | None, name: str, role: str
) -> None:
    if row not in plane.placed:
        return
    across, up = plane.values[row] * scales
    axes.scatter(
        [across],
        [up],
        s=220,
        zorder=5,
        label=f"{name}: {plane.names[row]}",
        facecolors="none",
        edgecolors=LIGHT[role],
        linewidths=2.5,
    )


def _limits(plane: Plane, axis: int, scale: float) -> tuple[float, float]:
    """From worst to best: the page's range, and the intervals of the points on the front in it."""
    worst, best = plane.spans[axis]
    ends = np.concatenate([plane.low[plane.on, axis], plane.high[plane.on, axis]])
    ends = np.append(ends[np.isfinite(ends)], [worst, best])
    low, high = float(ends.min()), float(ends.max())
    room = 0.03 * (high - low)
    if best < worst:
        return scale * (high + room), scale * (low - room)
    return scale * (low - room), scale * (high + room)


def _label(plane: Plane, number: int) -> str:
    axis = plane.axes[number]
    if plane.part == "value":
        return axis.label
    unit = "%" if axis.relative else "thousandths"
    return f"{axis.label}: gain over {plane.against}, {unit}"
