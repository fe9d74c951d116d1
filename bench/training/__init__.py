"""(config, data, seed) -> TrialResult."""
