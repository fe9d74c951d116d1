"""Twelve times the rows take no more memory: no split is held, not even as codes, nor its
histories.
"""

import subprocess
import sys
from pathlib import Path

import generated_log
import pytest

FEW, MANY = 50_000, 600_000
GROWTH_MB = 45
"""Allocators keep about 30 MB, and no more at 1.5 million rows. A split of the larger set takes 40
MB as Arrow columns, as much again encoded, and 96 MB as histories."""
CHILD = """
import sys
from pathlib import Path
from bench.data import history, load_card, prepare, two_passes
from bench.data.columns import numeric
from bench.data.readers import base, blocks

# small, so that all sizes reach the same level
base.PART, blocks.BLOCK, two_passes.CHUNK, numeric.EXACT = 1 << 12, 1 << 18, 1 << 12, 1 << 14
history.PART, history.ROWS_AT_ONCE = 1 << 12, 1 << 14
card, raw = Path(sys.argv[1]), Path(sys.argv[1]).parent
print(prepare(load_card(str(card)), raw / "home", raw).manifest["peak_memory_mb"])
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be reset here"
)
@pytest.mark.parametrize(
    ("format", "history"), [("csv", False), ("parquet", False), ("parquet", True)]
)
def test_peak_memory_does_not_grow_with_rows(format, history, tmp_path, monkeypatch):
    for constant in ("USERS", "ITEMS"):  # all are met in the smaller set: distinct values are held
        monkeypatch.setattr(generated_log, constant, 500)
    peaks = []
    for rows in (FEW, MANY):
        card = generated_log.write(rows, tmp_path / str(rows), format, history)
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(card)], check=True, stdout=subprocess.PIPE, text=True
        )
        peaks.append(float(child.stdout))
    assert peaks[1] - peaks[0] < GROWTH_MB, peaks
