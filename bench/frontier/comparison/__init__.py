"""Comparison of families of points: which is better, by how much, and how sure that is.

A family is what a comparison sets against another: the points of one way of sharing, one balancer, one run.

>>> import numpy as np
>>> from bench.frontier.comparison.beyond import surplus
>>> from bench.frontier.comparison.verdict import holm
>>> surplus(np.array([[2.0, -1.0], [-1.0, 2.0]]))  # a point's lead over two static points, by objective
0.5
>>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
[0.03, 0.06, 0.06]
"""
