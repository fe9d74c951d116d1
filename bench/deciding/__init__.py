"""The frontier and the pick, computed from finished trials. Plain values in, plain values out; no
torch.
"""
