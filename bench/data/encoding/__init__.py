"""Encodes raw columns as ids and floats, fitted on train only."""
