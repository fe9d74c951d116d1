"""Runs, frontiers and picks in MLflow. The only room that imports it, and only once it is used: it loads slowly.

    logbook = Logbook(None, home)                       # sqlite and files at home; or any MLflow address
    section = logbook.section(history, run="quick", ...)  # a parent run for each suite, data set and space
    section.log([record], told)                         # sends nothing: a thread does
    section.front = Found(frontier, pick, page)
    logbook.finish("FINISHED", ended, patience=10)      # whether all is there: each trial once, whatever went wrong
    frontier_of("seesaw/quick", uri)                    # read back, from anywhere

The search's own storage is the truth; everything here can be logged again from it.
"""

from bench.tracking.logbook import Logbook
from bench.tracking.reading import frontier_of
from bench.tracking.runs import Ending, Section
from bench.tracking.store import TrackingError, home_address, plain_address
from bench.tracking.values import Found

__all__ = ["Ending", "Found", "Logbook", "Section", "TrackingError", "frontier_of", "home_address", "plain_address"]
