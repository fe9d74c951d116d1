"""One objective: its value over the trials."""

from __future__ import annotations

import itertools

import plotly.graph_objects as go

from bench.report import theme
from bench.report.plots.base import axis_title, bars, frame, grouped, marks, near, shortened
from bench.report.plots.references import baseline, ring, ring_words
from bench.report.view import PageView


def course_figure(view: PageView) -> go.Figure:
    """Every trial in its order, the best so far as a step line by what the search saw, the best marked."""
    (axis,) = view.axes
    figure = frame()
    for kind, look, trials in grouped(view, "behind"):
        places = {"x": [trial.number for trial in trials], "y": shortened(trial.values[0] for trial in trials)}
        figure.add_scatter(**places, **marks(view, kind, look, trials, "behind"))
    seen = [(trial.number, axis.sign * value) for trial in view.trials if (value := trial.seen[0]) is not None]
    if seen:
        figure.add_scatter(
            x=[number for number, _ in seen],
            y=[axis.sign * value for value in itertools.accumulate((value for _, value in seen), max)],
            mode="lines",
            line={"color": theme.light("front"), "width": 1.6, "shape": "hv"},
            hoverinfo="skip",
            name="best so far",
        )
    for weight in ("confirmed", "front"):
        for kind, look, trials in grouped(view, weight):
            figure.add_scatter(
                x=[trial.number for trial in trials],
                y=shortened(trial.values[0] for trial in trials),
                error_y=bars(trials, 0, look.colour),
                **marks(view, kind, look, trials, weight),
            )
    baseline(figure, "y", axis)
    if view.picked is not None:
        picked = view.trial(view.picked.id)
        middle = sum(view.trials[i].number for i in (0, -1)) / 2
        ring(figure, picked.number, picked.values[0])
        ring_words(figure, picked, picked.number, picked.values[0], picked.number < middle, axis.maximize)
    figure.update_xaxes(title_text="trial")
    figure.update_yaxes(title_text=axis_title(axis, view.split), range=near(axis))
    figure.update_layout(meta={"near": {"yaxis.range": near(axis)}, "all": {"yaxis.autorange": True}})
    return figure
