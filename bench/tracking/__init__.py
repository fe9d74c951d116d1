"""Runs, frontiers and picks in MLflow. The only room that imports it, and only once it is used: it loads slowly.

    tracker = Tracker(None, home)                       # sqlite and files at home; or any MLflow address
    parent = tracker.open_parent(run="quick", ...)      # one for each suite, data set and space; found again on resume
    parent.log_trial(record)                            # one nested run; a record logged before changes nothing
    parent.log_front(frontier, pick, page)
    parent.close("FINISHED")
    frontier_of("seesaw/quick", tracker.uri)            # read back, from anywhere

The search's own storage is the truth; everything here can be logged again from it.
"""

from bench.tracking.parent import Parent
from bench.tracking.reading import frontier_of
from bench.tracking.store import TrackingError
from bench.tracking.tracker import Tracker

__all__ = ["Parent", "Tracker", "TrackingError", "frontier_of"]
