"""The touched-row optimizer of the embedding table."""
