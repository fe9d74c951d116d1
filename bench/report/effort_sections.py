"""Parts of a section on the search itself: what mattered, what was spent, what came of it, how values shrank."""

from __future__ import annotations

from bench.report import plots, text
from bench.report.charts import chart
from bench.report.markup import escaped
from bench.report.view import PageView
from bench.rows import CONFIRM, NAMES, SEARCH

ROW = 34
"""Height of a bar's row, in pixels."""


def matters(view: PageView, id: str) -> str:
    """Parameters by what they explain of the hypervolume."""
    if not view.influences:
        return ""
    rows = min(len(view.influences), plots.MOST_INFLUENCES)
    rung = " at the first rung" if view.by_rungs else ""
    note = (
        f"How much of the difference between trials{rung} each parameter explains alone, in the hypervolume that a "
        f"trial would have by itself on {NAMES[SEARCH]}, with its 90% interval. A parameter of one kind counts among "
        "the trials of that kind. It speaks of the trials that the search made, not of all that it could have made."
    )
    figure = chart(plots.influence_figure(view), f"{id}-matters", "What matters", f"{ROW * rows + 70}px")
    return f'<h3>What matters</h3><p class="note">{note}</p>{figure}'


def hypervolume(view: PageView, id: str) -> str:
    """Hypervolume over what the search had spent."""
    if not view.history or not view.trials:
        return ""
    reference = ", ".join(f"{axis.label} {text.plain(axis.reference)}" for axis in view.axes)
    note = f"Of what the search had seen so far on {NAMES[SEARCH]}, beyond the reference point: {escaped(reference)}."
    if view.hypervolume_interval is not None:
        note += f" The diamond is that of the confirmed front on {NAMES[CONFIRM]}, with its 90% interval."
    figure = chart(plots.hypervolume_figure(view), f"{id}-hypervolume", "Hypervolume", "280px")
    title = "Hypervolume over training samples" if view.by_samples else "Hypervolume over the run"
    return f'<h3>{title}</h3><p class="note">{note}</p>{figure}'


def budget(view: PageView, id: str) -> str:
    """Training samples by sharing kind and stage."""
    if not view.spent:
        return ""
    total = sum(samples for each in view.spent for _, samples in each.samples)
    note = f"{total:,} training samples by sharing kind and stage; what failed jobs trained is not counted."
    height = f"{ROW * len(view.spent) + 110}px"
    figure = chart(plots.budget_figure(view), f"{id}-budget", "Budget", height)
    return f'<h3>Where the budget went</h3><p class="note">{note}</p>{figure}'


def shrinkage(view: PageView, id: str) -> str:
    """From what the search saw to what test says."""
    if not view.shrinkage:
        return ""
    charts = "".join(
        chart(plots.shrinkage_figure(view, i), f"{id}-shrinkage-{i}", axis.label, "300px", caption=True)
        for i, axis in enumerate(view.axes)
        if any(each.objective == i for each in view.shrinkage)
    )
    note = (
        "A search keeps what came out well, and part of that was luck. Confirmed trials by the search's own run on "
        "validation; then means over fresh seeds on the same rows (without the seed's luck), on confirmation rows "
        "(without the luck of having been chosen for validation's rows), and on test."
    )
    return f'<h3>From search to test</h3><p class="note">{note}</p><div class="figures">{charts}</div>'
