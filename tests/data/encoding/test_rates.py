"""Target rates are where leakage would come from. `test_parts` has their definition; here labels are pure chance."""

import numpy as np
import pyarrow as pa
from sklearn.metrics import roc_auc_score

from bench.core.schema import Task
from bench.data.codes import TextCodes
from bench.data.columns.base import Source
from bench.data.encoding.rates import RatesFitter
from bench.data.values import texts_of


def test_random_labels_cannot_be_read_from_the_rates_of_train(rng):
    """Many ids of few rows: a rate that held its own row would give their labels away."""
    values = pa.array(rng.integers(0, 2000, 8000).astype(str))
    labels = rng.integers(0, 2, (8000, 1)).astype(np.float32)
    fitter, seen = RatesFitter("user", (Task("click"),), 1.0, 4, 7), TextCodes()
    codes = seen.code(texts_of(values))
    fitter.take(codes, labels, len(seen))
    part = fitter.finish(Source(column="u"), seen.texts)
    leaky, honest = part.encode(pa.table({"u": values})), fitter.dense(codes, 0)
    assert roc_auc_score(labels[:, 0], leaky[:, 0]) > 0.7
    assert abs(roc_auc_score(labels[:, 0], honest[:, 0]) - 0.5) < 0.05
