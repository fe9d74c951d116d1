"""Runs, frontiers and picks in MLflow. Only this room imports it, and only on use: it loads
slowly.
"""

from bench.app.tracking.reading import frontier_of

__all__ = ["frontier_of"]
