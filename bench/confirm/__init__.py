"""Confirmation: points that a search chose -> replicates on fresh seeds, and baselines to hold them against.

* `race`: retrains points and baselines, more often where the front is least certain.
* `baselines`: equal, random and tuned static weights, boosted trees, an ensemble, and the tries that tune them.
"""
