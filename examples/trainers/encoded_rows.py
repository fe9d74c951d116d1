"""Reads a job's rows: ids of texts, and numbers to mean 0 and deviation 1, both learnt on train."""

import json
import sys

import numpy as np
import pandas as pd


def read_job():
    """The content of the `job.json` that the command line names."""
    with open(sys.argv[1], encoding="utf-8") as file:
        return json.load(file)


class EncodedRows:
    """Inputs of all splits: `ids` has the number of values of each text column, `numbers` names."""

    def __init__(self, job):
        self.frames = {split: pd.read_parquet(path) for split, path in job["rows"].items()}
        self.tasks = [task["name"] for task in job["tasks"]]
        train = self.frames["train"][job["columns"]["inputs_and_keys"]]
        self.numbers = [*train.select_dtypes("number")]
        texts = [column for column in train if column not in self.numbers]
        self._values = {column: pd.Index(train[column].dropna().unique()) for column in texts}
        self._mean = train[self.numbers].mean()
        self._deviation = train[self.numbers].std().replace(0, 1)
        self.ids = {column: len(values) + 1 for column, values in self._values.items()}

    def inputs(self, split):
        """Columns of a split: ids from 1, 0 for a value that train has not, and numbers."""
        frame = self.frames[split]
        numbers = ((frame[self.numbers] - self._mean) / self._deviation).fillna(0)
        columns = {name: numbers[name].to_numpy(np.float32) for name in self.numbers}
        for name, values in self._values.items():
            columns[name] = values.get_indexer(frame[name]) + 1
        return columns

    def labels(self):
        """(N, T) of train."""
        return self.frames["train"][self.tasks].fillna(0).to_numpy(np.float32)

    def answer(self, job, split, predictions):
        """Writes predictions (N, T) of a split."""
        table = pd.DataFrame(np.asarray(predictions, np.float32), columns=self.tasks)
        table.insert(0, "row", self.frames[split]["row"])
        table.to_parquet(job["answer"][split])
