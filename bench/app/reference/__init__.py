"""The reference: methods compared by equal trials on several data sets, as one table that anyone
can add to.

A suite with a `[design]` is one. `cells` lists what is trained, `training` trains and measures it,
`execute` carries out parts of it, `table` keeps the rows. `comparisons` answers for one balancer or
one way of sharing, and `studies/publish.py` all questions.
"""
