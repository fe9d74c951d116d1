"""Families of points against each other: who is better, by how much, and how sure that is.

A family is what a comparison sets against another: the points of one way of sharing, one balancer, one run.

>>> import numpy as np
>>> from bench.frontier.comparison.differences import difference
>>> from bench.frontier.comparison.holm import holm
>>> unlike = difference({1: 0.7310, 2: 0.7312, 3: 0.7311}, {1: 0.7291, 2: 0.7290, 3: 0.7293})
>>> unlike.pairing, round(1000 * unlike.value, 2), unlike.interval[0] > 0
('seed', 1.97, True)
>>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
[0.03, 0.06, 0.06]
"""
