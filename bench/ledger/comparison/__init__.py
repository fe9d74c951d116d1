"""Comparison of families of points: which is better, by how much, and how sure that is.

A family is what a comparison sets against another: the points of one way of sharing, one balancer,
one run.
"""
