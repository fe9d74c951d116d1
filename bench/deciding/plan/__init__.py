"""Plans the A/B test of a verdict: users, days, looks and guardrails, from the run's own log."""
