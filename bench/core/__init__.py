"""What all rooms speak of: schema, records, rows, objectives, registries, plug-ins, seeds and
errors.
"""
