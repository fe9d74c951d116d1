"""A run: a suite carried out once. Creates, executes and resumes it, and reads it back from its folder."""
