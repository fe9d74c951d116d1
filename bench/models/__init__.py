"""Models: a batch of ids and dense columns in, one logit for each task out. Start at `assembly`."""
