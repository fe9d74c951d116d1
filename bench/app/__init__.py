"""What users meet: runs, the command line, the page, MLflow, and the reference."""
