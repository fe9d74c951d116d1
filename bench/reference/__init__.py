"""The reference: methods compared by equal trials on several data sets, as one table that anyone can add to.

A suite with a `[design]` is one. `cells` says what is trained, `training` trains and measures it, `execute` carries out
parts of it, and `table` keeps the rows. `own` compares a balancer of one's own with the published rows.
`studies/publish.py` answers all questions by them.
"""
