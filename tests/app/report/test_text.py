"""Numbers and tables as texts."""

import io

import numpy as np
import pandas as pd

from bench.app.report.text import csv_text


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay_numbers():
    table = pd.DataFrame(
        {
            "name": ["=cmd()", "+1", "-x", "@a", "\tb", "plain", None],
            "gain": [-0.25, 1e-9, np.nan, 3.0, 2.0, 1.0, 0.1 + 0.2],
            "=sum(A1)": [True, False, True, True, False, True, False],
        }
    )
    read = pd.read_csv(io.StringIO(csv_text(table)))
    assert read["name"].tolist()[:6] == ["'=cmd()", "'+1", "'-x", "'@a", "'\tb", "plain"]
    np.testing.assert_array_equal(read["gain"], table["gain"])
    assert list(read.columns) == ["name", "gain", "'=sum(A1)"]
