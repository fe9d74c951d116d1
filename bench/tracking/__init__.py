"""Runs, frontiers and picks in MLflow. The only room that imports it, and only once it is used: it loads slowly."""

from bench.tracking.reading import frontier_of

__all__ = ["frontier_of"]
