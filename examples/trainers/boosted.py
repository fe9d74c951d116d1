"""LightGBM as a function of ten lines: a model for each task."""

import lightgbm


def fit(config, seed, train, rows):
    """Probabilities of each split's rows, a column a task."""
    texts = [column for column in train if train[column].dtype not in ("int64", "float64")]
    (any_split, *_) = rows.values()
    inputs = [column for column in any_split if column != "row"]
    kinds = {column: "category" for column in texts if column in inputs}
    predictions = {split: {} for split in rows}
    for task in [column for column in train if column not in ("row", *inputs)]:
        model = lightgbm.LGBMClassifier(random_state=seed, verbose=-1, n_jobs=1, **config)
        model.fit(train[inputs].astype(kinds), train[task].fillna(0))
        for split, frame in rows.items():
            predictions[split][task] = model.predict_proba(frame[inputs].astype(kinds))[:, 1]
    return predictions
