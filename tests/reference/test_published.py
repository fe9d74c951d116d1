"""Rows of the published table, trained again here."""

from pathlib import Path

import numpy as np
import pytest
from publish import objectives_of
from reference.members import gather

from bench.reference.cells import Cell
from bench.reference.execute import CellRunner, published
from bench.reference.table import KnownRows, read
from bench.results.statistics import intervals
from bench.runs.suite import load_suite
from bench.system.progress import Silent

RAW = Path(__file__).parents[3] / "shared" / "data"
DATA, SEEDS = "hotel-bookings", (1, 2, 3)


@pytest.mark.slow
@pytest.mark.skipif(not (RAW / DATA).is_dir(), reason="needs hotel bookings in ../shared/data")
def test_cells_that_are_trained_again_lie_within_their_intervals(tmp_path):
    suite = load_suite("reference")
    objectives = objectives_of(suite)
    data = next(each for each in gather(read(published("reference")), objectives, {}) if each.name == DATA)
    known = dict(zip(map(id, data.members), intervals([each.heads for each in data.members]) or (), strict=True))
    runner = CellRunner(tmp_path, suite.dataset(DATA), RAW, 2, KnownRows(tmp_path, tmp_path / "none"), Silent())
    try:
        for balancing in ("equal", "pcgrad", "uncertainty"):
            (member,) = data.of("shared_bottom", balancing)
            cell = Cell(DATA, "shared_bottom", balancing)
            rows = runner.trained(cell, [(dict(member.config), seed) for seed in SEEDS])
            again = np.mean([row.test for row in rows], axis=0)
            here = member.heads.values[[member.heads.seeds.index(seed) for seed in SEEDS]].mean(axis=0)
            for objective, ours, theirs, of in zip(data.objectives, again, here, known[id(member)], strict=True):
                assert abs(ours - theirs) < (of.high - of.low) / 2, f"{cell.part}: {objective.name}"
    finally:
        runner.close()
