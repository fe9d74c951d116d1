"""Models: a batch of ids and dense columns in, one logit per task out. Start at `assembly`."""
