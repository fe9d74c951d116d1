"""Back-tests: the same points at several later times, each trained on what lay before and judged on
what came next.
"""
