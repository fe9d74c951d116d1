"""What is known of a run's points: the ledger of cells, and what is asked of it."""
