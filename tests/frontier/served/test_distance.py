"""What a front says beside the verdict: exchange rates, and models against weights alone."""

from __future__ import annotations

from bench.frontier.questions import readings
from bench.results.fusion import Fusion
from bench.results.served.measuring import Current
from bench.results.served.served import served_front


def test_better_models_are_ahead_of_the_current_ones_under_any_weights(world, outcomes):
    made = world(n=3000)
    poor, good = made.candidate("now", "current", worse=2.0), made.candidate("7", noise=0.1)
    served = served_front(
        [poor, good], made.rows, outcomes, Current("now", Fusion.of("power", (1, 1))), seed=0, draws=200
    )
    row = int(served.table.index[served.table["point"] == "7"][3])
    sentences = readings(served, row)
    assert any(each.startswith("At the pick, giving up 1% of click.recall@10% buys +") for each in sentences)
    models = next(each for each in sentences if each.startswith("Models alone:"))
    gain = float(models.split("click.recall@10% ")[1].split("%")[0])
    assert gain > 5


def test_without_searched_models_nothing_is_said_of_them(world, outcomes):
    made = world()
    served = served_front([made.candidate("now", "current")], made.rows, outcomes, Current("now"), seed=0, draws=100)
    assert not any(each.startswith("Models") for each in readings(served, served.current))
