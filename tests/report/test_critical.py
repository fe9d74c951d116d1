from __future__ import annotations

import numpy as np
import pytest

from bench.frontier.comparison.ranks import Ranking, ranking
from bench.report.plots.critical import critical_figure


@pytest.fixture
def found() -> Ranking:
    quality = np.array([0.8, 0.79, 0.75, 0.7])
    return ranking(("ple", "mmoe", "<i>stem</i>", "cgc"), quality + np.random.default_rng(0).normal(0, 0.01, (6, 4)))


def test_methods_stand_at_their_ranks_and_those_alike_share_a_bar(found: Ranking) -> None:
    figure = critical_figure(found)
    ranks = next(trace for trace in figure.data if trace.name == "mean rank")
    assert list(ranks.x) == list(found.ranks)
    bars = [tuple(trace.y) for trace in figure.data if trace.name == "clique"]
    assert bars == list(found.cliques)
    scale = next(trace for trace in figure.data if trace.name == "scale")
    assert scale.x[1] - scale.x[0] == pytest.approx(found.critical)


def test_names_are_text(found: Ranking) -> None:
    assert "<i>" not in critical_figure(found).to_json()
