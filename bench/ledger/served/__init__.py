"""The served front: serving points (a configuration with fusion weights), measured by outcomes of
their rankings.
"""
