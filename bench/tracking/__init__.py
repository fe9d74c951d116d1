"""Runs, frontiers and picks in MLflow. The only room that imports it, and only once it is used: it loads slowly."""
