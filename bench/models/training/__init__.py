"""Training: (config, data, seed) -> TrialResult."""
