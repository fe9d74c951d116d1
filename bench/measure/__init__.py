"""Outcomes of rankings, such as `recall@10%`: what a score does for each task, with its resamples. No torch."""
