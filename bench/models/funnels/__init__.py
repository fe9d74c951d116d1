"""How the probabilities of tasks are tied along parent links."""
