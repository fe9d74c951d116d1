"""Decides from a log's predictions alone: nothing is trained, and torch is not needed."""
