"""The only writer of sentences about what a run found: about the pick by its policy, and about
switching to it.
"""
