"""The worth of scores on rows: metrics of heads, outcomes of rankings, and both on resamples. No
torch.
"""
