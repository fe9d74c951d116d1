"""A self-contained page for a run: its sections (`section`), their data (`embed`), words and the
file (`page`).
"""
