"""Parts of a section on the front: the figure and its table, the scatter matrix, parallel coordinates."""

from __future__ import annotations

from bench.report import plots
from bench.report.charts import chart, legend, notation, projection, zoom
from bench.report.markup import joined
from bench.report.tables import front_table, standard_table
from bench.report.view import PageView
from bench.rows import CONFIRM, NAMES, SEARCH, SHORT


def front(view: PageView, id: str) -> str:
    """Figure and table beside each other, and every pair of three objectives and more."""
    if not any(value is not None for trial in view.trials for value in trial.values):
        return '<h3>The front</h3><p class="note">No trial has completed with a value yet.</p>'
    basis = (
        f"Confirmed trials are compared by their means over fresh seeds on {NAMES[CONFIRM]}. Small marks were trained "
        f"once and are on {NAMES[SEARCH]}, where luck made the best of them look better than they are."
        if view.confirmed
        else f"On {NAMES[SEARCH]}. Every trial was trained once: differences of the size of a seed's luck mean nothing."
    )
    note = f"{basis}{_thinned(view)} "
    note += "Press a point or a row for all that is known of a trial; drag a box for several."
    figure, table = _figure(view, id), front_table(view)
    return joined(
        [
            "<h3>The front</h3>",
            f'<p class="note">{note}</p>',
            f'<div class="tools">{legend(view)}{ALL}</div>',
            f'<div class="beside"><div>{figure}{notation(view)}</div><div>{table}{_table_note(view)}</div></div>',
            _matrix(view, id),
        ]
    )


ALL = '<button type="button" data-action="export" class="export">All trials as CSV</button>'


def _figure(view: PageView, id: str) -> str:
    """The figure beside the table, by the number of objectives."""
    if len(view.axes) > 2:
        return projection(view, f"{id}-projection", "clamp(340px, 46vw, 480px)")
    figure = plots.course_figure(view) if len(view.axes) == 1 else plots.plane_figure(view)
    return chart(figure, f"{id}-front", "The front", "clamp(340px, 46vw, 500px)", beside=zoom(view))


def _matrix(view: PageView, id: str) -> str:
    """Every pair of three objectives and more, in a scatter matrix."""
    if len(view.axes) < 3:
        return ""
    size = len(view.axes) - 1
    name, height = f"Every pair of objectives, {SHORT[view.split]}", f"{100 + 230 * size}px"
    return chart(
        plots.pairs_figure(view), f"{id}-front", name, height, caption=True, beside=zoom(view), least=250 * size
    )


def _thinned(view: PageView) -> str:
    """What is not drawn."""
    most = [plots.most_behind(view)] if len(view.axes) > 2 else []
    drawn, behind = plots.drawn_of(view, *most)
    if drawn == behind:
        return ""
    return f" Of the {behind:,} trials behind the front {drawn:,} are drawn, evenly many; the table has all."


def baselines(view: PageView) -> str:
    """What the front is held against."""
    if not view.standards:
        return ""
    note = "Trained on fresh seeds as confirmed points are: means, with 90% intervals of seeds and rows."
    if any(each.retuned for each in view.standards):
        note += " Of static weights, everything else was tuned anew for each."
    return f'<h3>Baselines</h3><p class="note">{note}</p>{standard_table(view)}'


def across(view: PageView, id: str) -> str:
    """Parallel coordinates of all trials."""
    if not view.trials or not any(value is not None for trial in view.trials for value in trial.values):
        return ""
    drawn, behind = plots.drawn_of(view, plots.MOST_LINES)
    some = f" {drawn:,} of the {behind:,} trials behind the front are drawn." if drawn < behind else ""
    kept = " the parameters that made most of a difference" if view.influences else " what was searched"
    rows = SHORT[SEARCH] if not view.confirmed else f"{SHORT[CONFIRM]} where confirmed, else {SHORT[SEARCH]}"
    note = (
        f"A line for each trial: objectives ({rows}), better upwards, then{kept}. Drag a box over an axis to select "
        "trials."
    )
    least = 104 * plots.dimensions(view)
    figure = chart(plots.parallel_figure(view), f"{id}-parallel", "Parallel coordinates", "360px", least=least)
    return f'<h3>Objectives and settings</h3><p class="note">{note}{some}</p>{figure}'


def _table_note(view: PageView) -> str:
    if not view.confirmed:
        return ""
    note = (
        f"{SHORT[SEARCH].capitalize()}: the search's own run. {SHORT[CONFIRM].capitalize()} and test: mean ± standard "
        "deviation over replicates. Fainter lines are not on the front."
    )
    if any(trial.p_nondominated is not None for trial in view.trials):
        note += " P(non-dominated): how likely it is that no other confirmed trial beats it in every objective."
    return f'<p class="note below">{note}</p>'
