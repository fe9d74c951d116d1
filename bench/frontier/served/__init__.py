"""The front that is served: serving points (a configuration with fusion weights), measured by outcomes of rankings."""
