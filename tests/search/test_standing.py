"""Columns that are kept must be those that would be made anew."""

from __future__ import annotations

import random

import numpy as np

from bench.search.standing import Standing, Standings


def same(kept: Standings, anew: Standings) -> None:
    assert list(kept) == list(anew)
    for name in ("reached", "waiting", "failed", "begun"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(anew, name))
    for rung in range(int(kept.reached.max())):
        np.testing.assert_array_equal(kept.values(rung), anew.values(rung))
    assert (kept.granted, kept.kinds) == (anew.granted, anew.kinds)


def test_what_changes_one_by_one_is_what_it_would_be_anew() -> None:
    draw, kept, now = random.Random(3), Standings(), []
    for step in range(600):
        if not now or draw.random() < 0.5:
            now.append(Standing(len(now), draw.choice("abc"), (), "running"))
            kept.put(len(kept), now[-1])
            continue
        row = draw.randrange(len(now))
        was = now[row]
        if was.progress == "running":
            told = draw.random() < 0.8
            results = (*was.results, (draw.random(), draw.random())) if told else was.results
            now[row] = Standing(row, was.kind, results, "waiting" if told else "failed", was.granted)
        elif was.progress == "waiting" and len(was.results) < 3:
            granted = was.granted | ({len(was.results)} if draw.random() < 0.3 else set())
            now[row] = Standing(row, was.kind, was.results, "running", granted)
        kept.put(row, now[row])
        if step % 50 == 49:
            same(kept, Standings(now))
    assert len(now) > 200
    same(Standings.of(draw.sample(now, len(now))), kept)
    assert Standings.of(kept) is kept
