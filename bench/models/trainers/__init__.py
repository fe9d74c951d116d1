"""Trainers from elsewhere: a Python function or a program, which gives predictions of named rows.

A trainer gets a configuration, a seed and rows; labels of train alone, or of validation, too. It
answers with a prediction of each row and task. All else (search, metrics, seeds, served front,
verdict) works on predictions, as with the models that come with the package.
"""
