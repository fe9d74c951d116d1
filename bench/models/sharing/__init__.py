"""How tasks share a representation."""
