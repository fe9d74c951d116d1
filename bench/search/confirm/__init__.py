"""Confirmation: trains the points that a search chose on fresh seeds, and baselines to compare them
with.

* `race`: selects points, and retrains them and baselines, more often where the front is least
  certain.
* `baselines`: equal, random and tuned static weights, boosted trees, an ensemble, and their tuning.
* `twins`: single-task models with the settings of models that share.
* `blend`: the best confirmed network and the trees, averaged.
"""
