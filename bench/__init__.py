"""Seesaw: find the trade-off frontier of multi-task recommenders.

The rooms, and which may import which, are listed in ARCHITECTURE.md.
Importing `bench` imports none of torch, optuna or mlflow.
"""

__version__ = "0.1.0"
