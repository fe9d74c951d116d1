"""From a picked configuration to a model in production."""
