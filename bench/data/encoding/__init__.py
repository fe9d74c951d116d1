"""Raw columns -> ids and floats, fitted on train alone."""
