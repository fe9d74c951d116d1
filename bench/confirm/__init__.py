"""Confirmation: points that a search chose -> replicates on fresh seeds, and baselines to hold them against.

* `race`: retrains points and baselines, more often where the front is least certain.
* `baselines`: equal weights, random weights, boosted trees, an ensemble, made from what the search found.
* `tuning`, `static_weights`: tries by which baselines are tuned before they are confirmed.
"""
