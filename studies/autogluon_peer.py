"""AutoGluon's predictions of test, for `unseen.py`: run by an interpreter that has
`autogluon.tabular`.

python studies/autogluon_peer.py ROWS.csv OUT.npz --inputs COLUMN .. --tasks COLUMN ..
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    """Fits `medium_quality` to each task, and keeps predictions (N, T) of rows of test."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--inputs", nargs="+", required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    options = parser.parse_args()
    from autogluon.tabular import TabularPredictor

    rows = pd.read_csv(options.rows)
    train, valid, test = (rows[rows["part"] == part] for part in ("train", "valid", "test"))
    predictions = []
    for task in options.tasks:
        columns = [*options.inputs, task]
        with tempfile.TemporaryDirectory() as folder:
            predictor = TabularPredictor(task, eval_metric="roc_auc", path=folder, verbosity=1)
            predictor.fit(
                train[columns], tuning_data=valid[columns], presets="medium_quality", num_cpus=1
            )
            predictions.append(
                predictor.predict_proba(test[options.inputs], as_multiclass=False).to_numpy()
            )
    np.savez(options.out, said=np.stack(predictions, axis=1))


if __name__ == "__main__":
    main()
