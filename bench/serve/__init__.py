"""Production: turns a picked configuration into a served model."""
