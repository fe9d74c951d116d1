"""Parts of the speed benchmarks: generated data, one module for each system, and what is said of
their times.
"""
