"""A self-contained page for a run: tidy tables (`view`), their JSON (`embed`), words and the file (`page`)."""
